#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "clients/cpp/command.h"

namespace orchard::client {

/// `orchard classify FILE… | DIR | -`, as parsed.
struct ClassifyCommand {
  Client::Options server;
  std::vector<std::string> arguments;  ///< files, folders, "-"
  std::string model;                   ///< empty: the server's first
  v1::ClassifyOptions options;
  size_t concurrency = 4;  ///< pictures in progress
  bool json = false;
};

/// Adds the command's flags to `app`; they are checked while the command line is parsed.
void DeclareClassify(CLI::App& app, ClassifyCommand& command);

/// Classifies all pictures: one line each on `out`, in the arguments' order (in any order with
/// --json), a line on `err` for each failure. A picture that is over the server's limit is told
/// without being read or sent. Ends when an answer can't be written. Returns
/// kAllDone or kSomeFailed.
int RunClassify(const ClassifyCommand& command, const Streams& streams);

}  // namespace orchard::client
