#include "clients/cpp/command.h"

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include <CLI/CLI.hpp>

namespace orchard::client {

Client::Options ServerOptions::ClientOptions() const {
  return {.servers = servers,
          .timeout = std::chrono::milliseconds(static_cast<int64_t>(timeout_seconds * 1000.0))};
}

void DeclareServer(CLI::App& app, ServerOptions& options) {
  app.add_option("--server", options.servers,
                 "addresses of routers; the next is tried when one is gone")
      ->delimiter(',')
      ->allow_extra_args(false)  // Or the first picture after it would be a server.
      ->type_name("HOST:PORT[,HOST:PORT]")
      ->envname("ORCHARD_SERVER")
      ->capture_default_str();
  app.add_option("--timeout", options.timeout_seconds, "seconds for one picture, over all attempts")
      ->check(CLI::Range(0.001, 3600.0))
      ->type_name("SECONDS")
      ->envname("ORCHARD_TIMEOUT")
      ->capture_default_str();
}

absl::Status WriteAnswer(std::ostream& out, std::string_view text) {
  errno = 0;  // A stream says only that it failed; the system's call said why.
  out << text << std::flush;
  if (out.good()) return absl::OkStatus();
  const std::string reason = errno == 0 ? "" : absl::StrCat(": ", std::strerror(errno));
  return absl::UnavailableError(absl::StrCat("answers can't be written", reason));
}

std::string Reason(const absl::Status& status) {
  if (NoServerAnswers(status)) {
    return absl::StrCat(status.message(),
                        "; start one with orchard-router, or name another with --server");
  }
  return absl::StrCat(absl::StatusCodeToString(status.code()), ": ", status.message());
}

}  // namespace orchard::client
