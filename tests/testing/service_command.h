#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "tests/testing/child_process.h"

namespace orchard::testing {

inline constexpr char kAnyPort[] = "127.0.0.1:0";

/// The command that starts `program`, orchard-router or orchard-expert, with a folder of versions.
/// It listens on ports of the system's choice, but for calls on `listen`.
inline std::vector<std::string> ServiceCommand(const std::string& program,
                                               const std::filesystem::path& model,
                                               const std::vector<std::string>& more = {},
                                               const std::string& listen = kAnyPort) {
  std::vector<std::string> command = {BinaryPath(program), "--listen", listen,
                                      "--metrics-listen",  kAnyPort,   "--model",
                                      model.string()};
  if (program == "orchard-router") command.insert(command.end(), {"--http-listen", kAnyPort});
  command.insert(command.end(), more.begin(), more.end());
  return command;
}

}  // namespace orchard::testing
