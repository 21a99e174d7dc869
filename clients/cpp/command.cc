#include "clients/cpp/command.h"

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include <CLI/CLI.hpp>

#include "clients/cpp/policy.h"
#include "core/printable.h"
#include "core/units.h"

namespace orchard::client {

namespace {

using std::chrono::milliseconds;

std::string Range(milliseconds least, milliseconds most) {
  return absl::StrCat("from ", core::FormatDuration(least), " to ", core::FormatDuration(most));
}

/// "--tls-ca" is also ORCHARD_CLIENT_TLS_CA: ORCHARD_TLS_CERT and its like are the certificate that
/// a server shows, which a caller on the same machine must not show (or speak TLS for) by accident.
std::string TlsVariable(const std::string& flag) {
  const std::string name = absl::StrReplaceAll(flag.substr(2), {{"-", "_"}});
  return absl::StrCat("ORCHARD_CLIENT_", absl::AsciiStrToUpper(name));
}

void DeclareFile(CLI::App& app, const std::string& name, std::filesystem::path& file,
                 const std::string& description) {
  app.add_option_function<std::string>(
         name, [&file](const std::string& value) { file = value; }, description)
      ->type_name("FILE")
      ->envname(TlsVariable(name));
}

/// Accepts the names of policies in any case. Its description stays empty: the help would print it.
CLI::Validator IsPolicy() {
  return {[](std::string& name) {
            if (ParsePolicy(name)) return std::string();
            return absl::StrCat("\"", name, "\" is no policy; there are ",
                                absl::StrJoin(PolicyNames(), ", "));
          },
          ""};
}

}  // namespace

CLI::Option* DeclareDuration(CLI::App& app, const std::string& name, milliseconds& value,
                             const std::string& description, milliseconds least,
                             milliseconds most) {
  const auto read = [&value, name, least, most](const std::string& text) {
    const auto duration = core::ParseDuration(text);
    const auto whole =
        std::chrono::duration_cast<milliseconds>(duration.value_or(std::chrono::nanoseconds(-1)));
    if (!duration || whole < least || *duration > most) {
      throw CLI::ValidationError(
          name, absl::StrCat("\"", text, "\" is not a duration such as 250ms, 30s or 2min, ",
                             Range(least, most)));
    }
    value = whole;
  };
  return app.add_option_function<std::string>(name, read, description)
      ->type_name("DURATION")
      ->default_str(core::FormatDuration(value));
}

void DeclareServer(CLI::App& app, Client::Options& options) {
  app.add_option("--server", options.servers,
                 "addresses of routers; the next is tried when one is gone")
      ->delimiter(',')
      ->allow_extra_args(false)  // Or the first picture after it would be a server.
      ->type_name("HOST:PORT[,HOST:PORT]")
      ->envname("ORCHARD_SERVER")
      ->capture_default_str();
  DeclareDuration(app, "--timeout", options.timeout,
                  "for one picture, over all attempts: seconds, or 500ms, 30s, 2min",
                  milliseconds(1), std::chrono::hours(1))
      ->envname("ORCHARD_TIMEOUT");
  DeclareFile(app, "--tls-ca", options.tls.ca,
              "authorities to trust, PEM (default: the system's); any --tls flag asks for TLS");
  DeclareFile(app, "--tls-cert", options.tls.cert, "our certificate, for servers that ask, PEM");
  DeclareFile(app, "--tls-key", options.tls.key, "its private key, PEM");
  app.add_option("--tls-name", options.tls.name,
                 "the name that the server's certificate has, when it is not the host of --server")
      ->type_name("NAME")
      ->envname(TlsVariable("--tls-name"));
}

void DeclareModel(CLI::App& app, std::string& model) {
  app.add_option("--model", model,
                 "which of the server's models (orchard model list; default: its first)")
      ->type_name("NAME")
      ->envname("ORCHARD_CLIENT_MODEL");
}

void DeclareClassifyOptions(CLI::App& app, v1::ClassifyOptions& options) {
  app.add_option_function<std::string>(
         "--policy",
         [&options](const std::string& name) { options.set_policy(*ParsePolicy(name)); },
         absl::StrCat("which experts are asked: ", absl::StrJoin(PolicyNames(), ", "),
                      " (default: the server's)"))
      ->check(IsPolicy())
      ->type_name("POLICY");
  app.add_option_function<std::uint32_t>(
         "--k", [&options](std::uint32_t k) { options.set_k(k); }, "experts, for --policy top_k")
      ->check(CLI::PositiveNumber)
      ->type_name("N");
  app.add_option_function<double>(
         "--tau", [&options](double tau) { options.set_tau(tau); },
         "probability, for --policy threshold and nucleus")
      ->check(CLI::Range(0.0, 1.0))
      ->type_name("P");
  app.add_option_function<std::string>(
         "--domain", [&options](const std::string& domain) { options.set_domain(domain); },
         "the domain to ask, for --policy pinned (which it implies)")
      ->type_name("NAME");
  app.add_option_function<std::uint32_t>(
         "--top", [&options](std::uint32_t top) { options.set_top(top); },
         "classes and concepts in the answer (default: the server's)")
      ->check(CLI::PositiveNumber)
      ->type_name("N");
}

void DeclarePictures(CLI::App& app, std::vector<std::string>& arguments) {
  app.add_option("pictures", arguments,
                 "picture files; folders, walked for .jpg .jpeg .png .webp; - for standard input")
      ->type_name("FILE|DIR|-")
      ->required();
}

absl::Status WriteAnswer(std::ostream& out, std::string_view text) {
  errno = 0;  // A stream says only that it failed; the system's call said why.
  out << text << std::flush;
  if (out.good()) return absl::OkStatus();
  const std::string reason = errno == 0 ? "" : absl::StrCat(": ", std::strerror(errno));
  return absl::UnavailableError(absl::StrCat("answers can't be written", reason));
}

void WriteFault(std::ostream& err, std::string_view line) {
  err << "orchard: " << core::Printable(line) << '\n' << std::flush;
}

std::string Reason(const absl::Status& status) {
  if (NoServerAnswers(status)) {
    return absl::StrCat(status.message(),
                        "; start one with orchard-router, or name another with --server");
  }
  return absl::StrCat(absl::StatusCodeToString(status.code()), ": ", status.message());
}

}  // namespace orchard::client
