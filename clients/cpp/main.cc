// The `orchard` command: asks a router.

#include <algorithm>
#include <atomic>
#include <csignal>
#include <iostream>
#include <sstream>
#include <string>
#include <unistd.h>
#include <vector>

#include <CLI/CLI.hpp>

#include "clients/cpp/bench_command.h"
#include "clients/cpp/classify_command.h"
#include "clients/cpp/describe_command.h"
#include "core/inherited.h"
#include "core/printable.h"
#include "core/version.h"

namespace {

/// CLI11's exit code is of its own; scripts get 0 for --help and --version, 2 for usage.
int ParseFailure(const CLI::App& app, const CLI::ParseError& error) {
  std::ostringstream fault;
  if (app.exit(error, std::cout, fault) == 0) return orchard::client::kAllDone;
  // It repeats what was typed, or what a shell made of a folder: shown, not obeyed.
  std::istringstream lines(fault.str());
  for (std::string line; std::getline(lines, line);) {
    std::cerr << orchard::core::Printable(line) << '\n';
  }
  return orchard::client::kUsage;
}

/// What was typed, last word first, as CLI11 takes it. It would make a list of a folder "[2024]".
std::vector<std::string> Arguments(int argc, char** argv) {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  for (std::string& argument : arguments) {
    if (argument.starts_with('[') && argument.ends_with(']')) argument.insert(0, "./");
  }
  std::ranges::reverse(arguments);
  return arguments;
}

std::atomic<bool> interrupted = false;

/// The first Ctrl-C ends a measurement in order, the second one the process.
void OnInterrupt(int /*signal*/) {
  interrupted = true;
  std::signal(SIGINT, SIG_DFL);
}

}  // namespace

int main(int argc, char** argv) {
  using namespace orchard::client;  // NOLINT(google-build-using-namespace): a main of one screen.
  orchard::core::PutInheritedRight();
  CLI::App app("Asks an Orchard router what is in a photograph.", "orchard");
  app.set_version_flag("--version", std::string("orchard ") + orchard::core::kVersion);
  app.require_subcommand(1);

  ClassifyCommand classify;
  CLI::App& classify_app = *app.add_subcommand("classify", "classify pictures");
  DeclareClassify(classify_app, classify);

  BenchCommand bench;
  CLI::App& bench_app = *app.add_subcommand("bench", "put a router under load, and measure");
  DeclareBench(bench_app, bench);

  CLI::App& model_app = *app.add_subcommand("model", "the models that a server serves");
  model_app.require_subcommand(1);
  DescribeCommand describe;
  CLI::App& describe_app = *model_app.add_subcommand("describe", "taxonomy, defaults, accuracy");
  DeclareDescribe(describe_app, describe);
  ListCommand list;
  CLI::App& list_app = *model_app.add_subcommand("list", "name, version and domains of each");
  DeclareList(list_app, list);

  try {
    app.parse(Arguments(argc, argv));
  } catch (const CLI::ParseError& error) {
    return ParseFailure(app, error);
  }
  const Streams streams{std::cin, std::cout, std::cerr, isatty(STDERR_FILENO) == 1};
  if (bench_app.parsed()) {
    std::signal(SIGINT, OnInterrupt);
    return RunBench(bench, streams, interrupted);
  }
  if (list_app.parsed()) return RunList(list, streams);
  return classify_app.parsed() ? RunClassify(classify, streams) : RunDescribe(describe, streams);
}
