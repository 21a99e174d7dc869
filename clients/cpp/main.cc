// The `orchard` command: asks a router.

#include <iostream>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "clients/cpp/classify_command.h"
#include "clients/cpp/describe_command.h"
#include "core/version.h"

namespace {

/// CLI11's exit code is of its own; scripts get 0 for --help and --version, 2 for usage.
int ParseFailure(const CLI::App& app, const CLI::ParseError& error) {
  return app.exit(error, std::cout, std::cerr) == 0 ? orchard::client::kAllDone
                                                    : orchard::client::kUsage;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace orchard::client;  // NOLINT(google-build-using-namespace): a main of one screen.
  CLI::App app("Asks an Orchard router what is in a photograph.", "orchard");
  app.set_version_flag("--version", std::string("orchard ") + orchard::core::kVersion);
  app.require_subcommand(1);

  ClassifyCommand classify;
  CLI::App& classify_app = *app.add_subcommand("classify", "classify pictures");
  DeclareClassify(classify_app, classify);

  CLI::App& model_app = *app.add_subcommand("model", "the model that a server serves");
  model_app.require_subcommand(1);
  DescribeCommand describe;
  CLI::App& describe_app = *model_app.add_subcommand("describe", "taxonomy, defaults, accuracy");
  DeclareDescribe(describe_app, describe);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return ParseFailure(app, error);
  }
  const Streams streams{std::cin, std::cout, std::cerr, isatty(STDERR_FILENO) == 1};
  return classify_app.parsed() ? RunClassify(classify, streams) : RunDescribe(describe, streams);
}
