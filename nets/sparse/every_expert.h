#pragma once

namespace orchard::nets {

/// While one lives, experts inside networks run on every token, on its thread: the same function
/// as Dispatch, to rounding, by the same steps whatever the tokens are. For recording a network: a
/// recording can't hold a path that depends on its input.
class EveryExpert {
 public:
  EveryExpert();
  ~EveryExpert();
  EveryExpert(const EveryExpert&) = delete;
  EveryExpert& operator=(const EveryExpert&) = delete;

  /// Whether one lives on this thread.
  static bool Wanted();

 private:
  bool before_;
};

}  // namespace orchard::nets
