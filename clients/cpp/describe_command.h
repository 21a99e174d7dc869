#pragma once

#include "clients/cpp/command.h"

namespace orchard::client {

/// `orchard model describe`, as parsed.
struct DescribeCommand {
  Client::Options server;
  bool endpoints = false;  ///< with the experts' addresses
  bool json = false;
};

/// Adds the command's flags to `app`.
void DeclareDescribe(CLI::App& app, DescribeCommand& command);

/// Prints what the server's model is. Returns kAllDone or kSomeFailed.
int RunDescribe(const DescribeCommand& command, const Streams& streams);

}  // namespace orchard::client
