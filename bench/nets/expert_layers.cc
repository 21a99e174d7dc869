// What a transformer costs whose layers are one FFN, a plain mixture, or modulations of one FFN
// (MoFME): parameters, multiply-adds, latency. Prints a table in Markdown.
// Usage: bench_expert_layers [--width 96] [--hidden 192] [--layers 3] [--rounds 100] …
// Weights are random: no figure depends on them. "all run" is the plain mixture with every expert
// on every token, as the released code of MoFME times it; the others run what is chosen. Every
// network runs once a round, so that what else the machine does falls on all alike.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_join.h"
#include <ATen/Parallel.h>
#include <CLI/CLI.hpp>
#include <torch/torch.h>

#include "nets/guarded.h"
#include "nets/parameter_count.h"
#include "nets/vit_moe/vit_block.h"
#include "nets/vit_moe/vit_moe.h"

namespace orchard::bench {
namespace {

using Clock = std::chrono::steady_clock;

struct Settings {
  nets::VitOptions network{.classes = 43,
                           .width = 96,
                           .layers = 3,
                           .heads = 6,
                           .hidden = 192,
                           .convolutional_stem = true,
                           .router = {.top_k = 2}};
  std::vector<int64_t> experts = {4, 8, 16};
  std::vector<int64_t> batches = {1, 64};
  int rounds = 100;
  int threads = 1;
};

/// One way to fill the layers.
struct Form {
  std::string name;
  nets::VitLayer layer = nets::VitLayer::kModulated;
  nets::FmeOptions fme{};
  nets::UncertaintyMode mode = nets::UncertaintyMode::kOff;
  bool all_run = false;
};

std::vector<Form> Forms() {
  using nets::FmeKind;
  using nets::UncertaintyMode;
  using nets::VitLayer;
  std::vector<Form> forms = {{.name = "MoE", .layer = VitLayer::kExperts},
                             {.name = "MoE, all run", .layer = VitLayer::kExperts, .all_run = true},
                             {.name = "dense", .layer = VitLayer::kDense}};
  for (const FmeKind kind :
       {FmeKind::kStatic, FmeKind::kCond, FmeKind::kLowRank, FmeKind::kHidden, FmeKind::kAfter}) {
    forms.push_back({.name = std::string(NameOf(kind)), .fme = {.kind = kind}});
  }
  forms.push_back(
      {.name = "cond, as released", .fme = {.kind = FmeKind::kCond, .pre_transform = true}});
  forms.push_back({.name = "static, inv-std",
                   .fme = {.kind = FmeKind::kStatic},
                   .mode = UncertaintyMode::kInvStd});
  forms.push_back(
      {.name = "MoE, inv-std", .layer = VitLayer::kExperts, .mode = UncertaintyMode::kInvStd});
  return forms;
}

struct Row {
  int64_t experts = 0;
  std::string name;
  nets::Vit network{nullptr};
  int64_t parameters = 0;                         // of all layers' FFNs with their routers
  int64_t all_parameters = 0;                     // of the network
  int64_t multiply_adds = 0;                      // of a picture, the whole network
  std::vector<std::vector<double>> milliseconds;  // [batches][rounds], of a batch
};

Row MakeRow(const Form& form, int64_t experts, const Settings& settings) {
  nets::VitOptions options = settings.network;
  options.layer = form.layer;
  options.fme = form.fme;
  options.router.experts = experts;
  options.router.kind = form.mode == nets::UncertaintyMode::kOff ? nets::RouterKind::kLinear
                                                                 : nets::RouterKind::kUncertain;
  options.router.mode = form.mode;
  Row row{.experts = experts,
          .name = form.name,
          .network = nets::Vit(options),
          .milliseconds = std::vector<std::vector<double>>(settings.batches.size())};
  row.network->eval();
  for (const auto& block : *row.network->blocks) {
    auto& corrected = dynamic_cast<nets::CorrectedBlockImpl&>(*block);
    row.parameters += nets::CountParameters(*corrected.mlp);
    if (auto* sparse = dynamic_cast<nets::SparseFfn*>(corrected.mlp.get())) {
      sparse->way = form.all_run ? nets::ExpertWay::kTogether : nets::ExpertWay::kChosen;
    }
  }
  row.all_parameters = nets::CountParameters(*row.network);
  if (form.all_run) options.router.top_k = experts;
  row.multiply_adds = nets::MultiplyAdds(options);
  return row;
}

double MillisecondsOf(nets::Vit& network, const torch::Tensor& pictures) {
  const Clock::time_point begun = Clock::now();
  network->forward(pictures);
  return std::chrono::duration<double, std::milli>(Clock::now() - begun).count();
}

void Time(std::vector<Row>& rows, const Settings& settings) {
  constexpr int kWarmUp = 3;
  const torch::InferenceMode guard;
  const int64_t side = settings.network.side;
  for (size_t b = 0; b < settings.batches.size(); ++b) {
    const torch::Tensor pictures = torch::randn({settings.batches[b], 3, side, side});
    for (int round = -kWarmUp; round < settings.rounds; ++round) {
      for (Row& row : rows) {
        const double milliseconds = MillisecondsOf(row.network, pictures);
        if (round >= 0) row.milliseconds[b].push_back(milliseconds);
      }
    }
  }
}

/// The value that `share` of the samples do not exceed (nearest rank).
double Percentile(std::vector<double> samples, double share) {
  std::ranges::sort(samples);
  const auto rank = static_cast<size_t>(share * static_cast<double>(samples.size() - 1) + 0.5);
  return samples[std::min(rank, samples.size() - 1)];
}

void Print(const std::vector<Row>& rows, const Settings& settings) {
  std::printf("| experts | layer | FFN parameters | saved | all parameters | multiply-adds |");
  for (const int64_t batch : settings.batches) {
    std::printf(" p50 (p95) of %lld, ms |", static_cast<long long>(batch));
  }
  std::printf("\n|---|---|---|---|---|---|%s\n",
              absl::StrJoin(std::vector<std::string>(settings.batches.size(), "---|"), "").c_str());
  int64_t mixture = 0;  // The plain mixture comes first of those with as many experts.
  for (const Row& row : rows) {
    if (row.name == "MoE") mixture = row.parameters;
    const double saved = 1.0 - static_cast<double>(row.parameters) / static_cast<double>(mixture);
    std::printf("| %lld | %s | %lld | %.1f %% | %lld | %lld |", static_cast<long long>(row.experts),
                row.name.c_str(), static_cast<long long>(row.parameters), 100.0 * saved,
                static_cast<long long>(row.all_parameters),
                static_cast<long long>(row.multiply_adds));
    for (const std::vector<double>& samples : row.milliseconds) {
      std::printf(" %.2f (%.2f) |", Percentile(samples, 0.5), Percentile(samples, 0.95));
    }
    std::printf("\n");
  }
}

absl::Status Run(const Settings& settings) {
  std::vector<Row> rows;
  for (const int64_t experts : settings.experts) {
    nets::VitOptions options = settings.network;
    options.router.experts = experts;
    if (const auto faults = nets::Faults(options); !faults.empty()) {
      return absl::InvalidArgumentError(absl::StrJoin(faults, "; "));
    }
    for (const Form& form : Forms()) rows.push_back(MakeRow(form, experts, settings));
  }
  at::set_num_threads(settings.threads);
  Time(rows, settings);
  Print(rows, settings);
  return absl::OkStatus();
}

}  // namespace
}  // namespace orchard::bench

int main(int argc, char** argv) {
  CLI::App app("What experts inside a transformer's layers cost");
  orchard::bench::Settings settings;
  orchard::nets::VitOptions& network = settings.network;
  app.add_option("--width", network.width, "D, of a token")->capture_default_str();
  app.add_option("--hidden", network.hidden, "M, inside an FFN")->capture_default_str();
  app.add_option("--layers", network.layers, "blocks")->capture_default_str();
  app.add_option("--heads", network.heads, "of attention")->capture_default_str();
  app.add_option("--top-k", network.router.top_k, "experts of a token")->capture_default_str();
  app.add_option("--experts", settings.experts, "of a layer, a list")->capture_default_str();
  app.add_option("--batches", settings.batches, "pictures at once, a list")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  app.add_option("--rounds", settings.rounds, "timed forwards of each network and batch")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  app.add_option("--threads", settings.threads, "of LibTorch")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  const absl::Status status = orchard::nets::Guarded(
      "expert layers", [&settings] { return orchard::bench::Run(settings); });
  if (!status.ok()) {
    std::fprintf(stderr, "bench_expert_layers: %s\n", std::string(status.message()).c_str());
  }
  return status.ok() ? 0 : 1;
}
