#pragma once

#include <istream>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

#include "clients/cpp/client.h"

namespace CLI {
class App;
}

namespace orchard::client {

/// Where a command reads and writes, so that tests can stand in.
struct Streams {
  std::istream& in;
  std::ostream& out;
  std::ostream& err;
  bool err_is_terminal = false;
};

/// Exit codes of the command.
inline constexpr int kAllDone = 0;
inline constexpr int kSomeFailed = 1;
inline constexpr int kUsage = 2;

/// What every command takes: which servers, how long.
struct ServerOptions {
  std::vector<std::string> servers = {"127.0.0.1:8001"};
  double timeout_seconds = 10.0;

  Client::Options ClientOptions() const;
};

/// Adds --server and --timeout.
void DeclareServer(CLI::App& app, ServerOptions& options);

/// Writes to where answers go, and flushes, so that a full disk is noticed at the answer that is
/// lost. Errors: UNAVAILABLE with the system's reason.
absl::Status WriteAnswer(std::ostream& out, std::string_view text);

/// A reason for people. When no server answers: a plain sentence that names the servers and what
/// to do, instead of gRPC's words.
std::string Reason(const absl::Status& status);

}  // namespace orchard::client
