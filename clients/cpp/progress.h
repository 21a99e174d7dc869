#pragma once

#include <cstddef>
#include <ostream>
#include <string>

namespace orchard::client {

/// "[#####     ] 12/40", one line that redraws itself. Silent when `enabled` is false (the stream
/// is no terminal, or there is little to do). Not thread-safe: the owner locks.
class ProgressBar {
 public:
  ProgressBar(std::ostream& out, size_t total, bool enabled);

  /// Redraws with `done` of the total.
  void Show(size_t done);

  /// Removes the bar, so that other lines can be written; Show draws it again.
  void Hide();

 private:
  std::ostream& out_;
  const size_t total_;
  const bool enabled_;
};

}  // namespace orchard::client
