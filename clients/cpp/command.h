#pragma once

#include <chrono>
#include <istream>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

#include "clients/cpp/client.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

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

/// Adds --server, --timeout and the --tls flags; they are checked while the command line is parsed.
void DeclareServer(CLI::App& app, Client::Options& options);

/// Adds --model: which one of a server's models is meant.
void DeclareModel(CLI::App& app, std::string& model);

/// Adds the options that go along with a picture: --policy, --k, --tau, --domain, --top. Names and
/// ranges are checked while the command line is parsed; what belongs together, by the server.
void DeclareClassifyOptions(CLI::App& app, v1::ClassifyOptions& options);

/// Adds a duration: seconds, or a number with its unit (core::ParseDuration), from `least` to
/// `most`.
CLI::Option* DeclareDuration(CLI::App& app, const std::string& name,
                             std::chrono::milliseconds& value, const std::string& description,
                             std::chrono::milliseconds least, std::chrono::milliseconds most);

/// Adds the pictures: files, folders, "-".
void DeclarePictures(CLI::App& app, std::vector<std::string>& arguments);

/// Writes to where answers go, and flushes, so that a full disk is noticed at the answer that is
/// lost. Errors: UNAVAILABLE with the system's reason.
absl::Status WriteAnswer(std::ostream& out, std::string_view text);

/// Writes "orchard: LINE" to `err`, as text: names and a server's words may hold anything.
void WriteFault(std::ostream& err, std::string_view line);

/// A reason for people. When no server answers: a plain sentence that names the servers and what
/// to do, instead of gRPC's words.
std::string Reason(const absl::Status& status);

}  // namespace orchard::client
