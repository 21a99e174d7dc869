#pragma once

#include <string>
#include <vector>

#include "tests/testing/child_process.h"

namespace orchard::testing {

/// What a program that ends by itself has left.
struct Finished {
  int code = -1;  ///< 128 + signal when a signal ended it
  std::string out, err;
};

/// Runs `command` (path first) to its end. `environment` has words of env(1): "NAME=VALUE", "-u",
/// "NAME"; they win over our own.
inline Finished RunToTheEnd(std::vector<std::string> command,
                            const std::vector<std::string>& environment = {}) {
  command.insert(command.begin(), environment.begin(), environment.end());
  command.insert(command.begin(), "/usr/bin/env");
  ChildProcess child(command);
  Finished finished;
  finished.out = child.RestOfOut();
  finished.err = child.RestOfErr();
  finished.code = child.Wait().value_or(-1);
  return finished;
}

/// How often `text` has `part`.
inline size_t Count(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

}  // namespace orchard::testing
