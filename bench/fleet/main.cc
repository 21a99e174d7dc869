// Simulates a fleet (fleet.h) and says what came of it, as one JSON object. Usage:
//   fleet_simulation PLAN.json|- [--seed N]

#include <chrono>
#include <cstdint>
#include <fstream>
#include <iostream>
#include <iterator>
#include <optional>
#include <string>

#include <CLI/CLI.hpp>

#include "bench/fleet/plan_json.h"
#include "bench/fleet/report.h"
#include "bench/fleet/simulation.h"

namespace {

std::optional<std::string> Read(const std::string& file) {
  if (file == "-") return std::string(std::istreambuf_iterator<char>(std::cin), {});
  std::ifstream stream(file);
  if (!stream) return std::nullopt;
  return std::string(std::istreambuf_iterator<char>(stream), {});
}

int Refuse(const std::string& file, const std::string& why) {
  std::cerr << "fleet_simulation: " << file << ": " << why << "\n";
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  std::string file;
  std::optional<std::uint64_t> seed;
  CLI::App app("Simulates a fleet of routers and experts.", "fleet_simulation");
  app.add_option("plan", file, "what is simulated, JSON (bench/fleet/plan_json.h); -: stdin")
      ->required();
  app.add_option("--seed", seed, "of chance, instead of the plan's")->type_name("N");
  CLI11_PARSE(app, argc, argv);

  const std::optional<std::string> text = Read(file);
  if (!text) return Refuse(file, "it can't be read");
  absl::StatusOr<orchard::bench::FleetPlan> plan = orchard::bench::ParsePlan(*text);
  if (!plan.ok()) return Refuse(file, std::string(plan.status().message()));
  if (seed) plan->seed = *seed;
  orchard::bench::Simulation simulation(*std::move(plan));
  const auto begin = std::chrono::steady_clock::now();
  simulation.Run();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  std::cout << orchard::bench::ReportJson(simulation, took.count()) << "\n";
  return simulation.left_over() == 0 ? 0 : 1;
}
