#pragma once

#include <string>

#include "clients/cpp/command.h"

namespace orchard::client {

/// `orchard model describe`, as parsed.
struct DescribeCommand {
  Client::Options server;
  std::string model;       ///< empty: the server's first
  bool endpoints = false;  ///< with the experts' addresses
  bool json = false;
};

/// Adds the command's flags to `app`.
void DeclareDescribe(CLI::App& app, DescribeCommand& command);

/// Prints what the server's model is. Returns kAllDone or kSomeFailed.
int RunDescribe(const DescribeCommand& command, const Streams& streams);

/// `orchard model list`, as parsed.
struct ListCommand {
  Client::Options server;
  bool json = false;
};

void DeclareList(CLI::App& app, ListCommand& command);

/// Prints name, version and domains of every model that the server has, the first one first.
/// Returns kAllDone or kSomeFailed.
int RunList(const ListCommand& command, const Streams& streams);

}  // namespace orchard::client
