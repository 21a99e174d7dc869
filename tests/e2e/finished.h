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

/// `command` (path first) with words of env(1) before it: "NAME=VALUE", "-u", "NAME"; they win over
/// our own environment.
inline std::vector<std::string> InEnvironment(const std::vector<std::string>& environment,
                                              std::vector<std::string> command) {
  command.insert(command.begin(), environment.begin(), environment.end());
  command.insert(command.begin(), "/usr/bin/env");
  return command;
}

/// Runs `command` to its end, with `environment` as InEnvironment takes it.
inline Finished RunToTheEnd(const std::vector<std::string>& command,
                            const std::vector<std::string>& environment = {}) {
  ChildProcess child(InEnvironment(environment, command));
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
