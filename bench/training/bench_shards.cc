// How far features and gradients of a batch are from the truth when it is cut into shards, and why.
// Usage: bench_shards --model DIR [--side 64] [--pictures 5]. docs/training.md says what comes out
// and what it means. Every figure is relative to the largest entry of the truth: the whole batch in
// double precision. Kernels are chosen by the libraries' own variables, for example
//   OPENBLAS_CORETYPE=PRESCOTT bench_shards --model models/default

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <torch/torch.h>

#include "core/status.h"
#include "model/manifest.h"
#include "model/store.h"
#include "model/torch_state.h"
#include "nets/guarded.h"
#include "nets/mobilenet_v2.h"
#include "nets/serve/folded.h"

namespace orchard::bench {
namespace {

constexpr int64_t kFirstTrained = 15;
constexpr const char* kWatched = "features.16.conv.0.0.weight";

enum class Activation { kRelu6, kSmooth };

torch::Tensor Activate(const torch::Tensor& x, Activation activation) {
  if (activation == Activation::kRelu6) return torch::hardtanh(x, 0.0, 6.0);
  return 6.0 * torch::sigmoid(2.0 / 3.0 * (x - 3.0));  // The same ends and the same slope at 3.
}

/// What one way of computing a batch gives.
struct Outcome {
  torch::Tensor map, gradient;           // gradient of the sum of squares by kWatched
  std::vector<torch::Tensor> activated;  // what every activation was given, layer by layer
  double loss = 0.0;
};

struct Case {
  nets::MobileNetV2 network;
  Activation activation = Activation::kRelu6;
};

/// As training/folded.cc does it, with any activation.
torch::Tensor Forward(const Case& c, torch::Tensor x, std::vector<torch::Tensor>& activated,
                      torch::Tensor* map) {
  for (int64_t i = 0; i < nets::kEncoderBlocks; ++i) {
    const torch::AutoGradMode mode(i >= kFirstTrained);
    const nets::FoldedBlock block = nets::Fold(*c.network->features->ptr(static_cast<size_t>(i)));
    torch::Tensor y = x;
    for (const nets::FoldedConvolution& layer : block.layers) {
      y = torch::conv2d(y, layer.kernel, layer.bias, layer.stride, layer.padding(), 1,
                        layer.groups);
      if (!layer.relu6) continue;
      activated.push_back(y.detach());
      y = Activate(y, c.activation);
    }
    x = block.skip ? x + y : y;
    if (i == nets::kEncoderBlocks - 2) *map = x;
  }
  return x.mean({2, 3});
}

torch::Tensor Watched(const Case& c) { return c.network->named_parameters()[kWatched]; }

Outcome Compute(const Case& c, const torch::Tensor& pictures, const std::vector<int64_t>& shards) {
  Outcome outcome;
  std::vector<torch::Tensor> maps;
  for (const torch::Tensor& part : pictures.split_with_sizes(shards)) {
    std::vector<torch::Tensor> activated;
    torch::Tensor map;
    const torch::Tensor pooled = Forward(c, part, activated, &map);
    const torch::Tensor loss = pooled.square().sum() + map.square().sum();
    const torch::Tensor gradient = torch::autograd::grad({loss}, {Watched(c)}).at(0);
    outcome.gradient = outcome.gradient.defined() ? outcome.gradient + gradient : gradient;
    outcome.loss += loss.item<double>();
    maps.push_back(map.detach());
    for (size_t i = 0; i < activated.size(); ++i) {
      if (outcome.activated.size() <= i) outcome.activated.emplace_back();
      torch::Tensor& all = outcome.activated[i];
      all = all.defined() ? torch::cat({all, activated[i]}) : activated[i];
    }
  }
  outcome.map = torch::cat(maps);
  return outcome;
}

double Distance(const torch::Tensor& a, const torch::Tensor& truth) {
  const double scale = truth.abs().max().item<double>();
  return (a.to(torch::kFloat64) - truth).abs().max().item<double>() / scale;
}

/// Activations that lie on another side of a kink (0 or 6) than in truth.
int64_t OnTheOtherSide(const Outcome& a, const Outcome& truth) {
  int64_t count = 0;
  for (size_t i = 0; i < a.activated.size(); ++i) {
    for (const double kink : {0.0, 6.0}) {
      count += ((a.activated[i] > kink) != (truth.activated[i] > kink)).sum().item<int64_t>();
    }
  }
  return count;
}

/// Of the loss in double precision along `direction`, by a central difference.
double FiniteDifference(const Case& wide, const torch::Tensor& pictures,
                        const torch::Tensor& direction, double step) {
  const int64_t all = pictures.size(0);
  const auto loss_at = [&](double t) {
    {
      const torch::NoGradGuard guard;
      Watched(wide).add_(direction, t);
    }
    const double loss = Compute(wide, pictures, {all}).loss;
    const torch::NoGradGuard guard;
    Watched(wide).sub_(direction, t);
    return loss;
  };
  return (loss_at(step) - loss_at(-step)) / (2.0 * step);
}

nets::MobileNetV2 Wide(nets::MobileNetV2& network) {
  nets::MobileNetV2 wide;
  const torch::NoGradGuard guard;
  const auto buffers = network->named_buffers();
  for (auto& item : wide->named_buffers()) item.value().copy_(buffers[item.key()]);
  const auto parameters = network->named_parameters();
  for (auto& item : wide->named_parameters()) item.value().copy_(parameters[item.key()]);
  wide->to(torch::kFloat64);
  wide->eval();
  return wide;
}

/// "4+1", "2×2+1"
std::string Text(const std::vector<int64_t>& shards) {
  std::string text;
  for (size_t i = 0, end = 0; i < shards.size(); i = end) {
    while (end < shards.size() && shards[end] == shards[i]) ++end;
    if (!text.empty()) text += "+";
    if (end - i > 1) text += std::to_string(end - i) + "x";
    text += std::to_string(shards[i]);
  }
  return text;
}

/// The batch whole, and cut so that shards of two pictures and of one are left over.
std::vector<std::vector<int64_t>> Splits(int64_t pictures) {
  std::vector<int64_t> pairs(static_cast<size_t>(pictures / 2), 2);
  if (pictures % 2 == 1) pairs.push_back(1);
  return {{pictures},
          {pictures - 2, 2},
          {pictures - 1, 1},
          pairs,
          std::vector<int64_t>(static_cast<size_t>(pictures), 1)};
}

struct Size {
  int64_t pictures = 5;
  int64_t side = 64;
};

void Report(const char* title, nets::MobileNetV2 network, Activation activation, const Size& size) {
  const Case narrow{network, activation}, wide{Wide(network), activation};
  torch::manual_seed(3);
  const torch::Tensor pictures = torch::randn({size.pictures, 3, size.side, size.side});
  const torch::Tensor wide_pictures = pictures.to(torch::kFloat64);
  const Outcome truth = Compute(wide, wide_pictures, {size.pictures});
  const torch::Tensor direction = truth.gradient / truth.gradient.norm();
  const double slope = FiniteDifference(wide, wide_pictures, direction, 1e-6);
  std::printf("%s\n  %-10s %-8s %10s %10s %12s %12s\n", title, "shards", "numbers", "map",
              "gradient", "other side", "slope");
  const auto row = [&](const std::vector<int64_t>& shards, const Case& c, const char* numbers,
                       const torch::Tensor& input) {
    const Outcome outcome = Compute(c, input, shards);
    const double along =
        (outcome.gradient.to(torch::kFloat64) * direction).sum().item<double>() / slope - 1.0;
    std::printf("  %-10s %-8s %10.1e %10.1e %12lld %12.1e\n", Text(shards).c_str(), numbers,
                Distance(outcome.map, truth.map), Distance(outcome.gradient, truth.gradient),
                static_cast<long long>(OnTheOtherSide(outcome, truth)), along);
  };
  const auto splits = Splits(size.pictures);
  for (const auto& shards : splits) row(shards, narrow, "single", pictures);
  for (const auto& shards : splits) row(shards, wide, "double", wide_pictures);
}

/// Scales and statistics that are not the defaults, and fit no data: as the unit tests have them.
nets::MobileNetV2 Untrained() {
  torch::manual_seed(2);
  nets::MobileNetV2 network;
  const torch::NoGradGuard guard;
  for (const auto& module : network->modules()) {
    if (auto* norm = module->as<torch::nn::BatchNorm2dImpl>()) {
      norm->weight.uniform_(0.7, 1.3);
      norm->bias.uniform_(-0.2, 0.2);
      norm->running_mean.uniform_(-0.2, 0.2);
      norm->running_var.uniform_(0.05, 0.2);
    }
  }
  network->eval();
  return network;
}

absl::StatusOr<nets::MobileNetV2> Trained(const std::string& folder) {
  ORCHARD_ASSIGN_OR_RETURN(const auto version, model::ResolveVersion(folder));
  ORCHARD_ASSIGN_OR_RETURN(const v1::ModelManifest manifest, model::ReadManifest(version));
  const auto& file = manifest.encoder().file();
  ORCHARD_ASSIGN_OR_RETURN(const model::TensorMap tensors, model::ReadPart(version, file));
  nets::MobileNetV2 network;
  ORCHARD_RETURN_IF_ERROR(model::LoadState(*network, tensors, "", file.path()));
  network->eval();
  return network;
}

absl::Status Run(const std::string& folder, const Size& size) {
  ORCHARD_ASSIGN_OR_RETURN(const nets::MobileNetV2 trained, Trained(folder));
  at::set_num_threads(1);  // As every shard's thread has it.
  return nets::Guarded("shards", [&] {
    Report("untrained, ReLU6", Untrained(), Activation::kRelu6, size);
    Report("untrained, smooth", Untrained(), Activation::kSmooth, size);
    Report("trained, ReLU6", trained, Activation::kRelu6, size);
    Report("trained, smooth", trained, Activation::kSmooth, size);
    return absl::OkStatus();
  });
}

}  // namespace
}  // namespace orchard::bench

int main(int argc, char** argv) {
  CLI::App app("What a shard's size does to single precision");
  std::string model;
  orchard::bench::Size size;
  app.add_option("--model", model, "folder of a trained model")->required();
  app.add_option("--side", size.side, "of the pictures, pixels")->check(CLI::Range(32, 512));
  app.add_option("--pictures", size.pictures, "of the batch")->check(CLI::Range(3, 64));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  const absl::Status status = orchard::bench::Run(model, size);
  if (!status.ok())
    std::fprintf(stderr, "bench_shards: %s\n", std::string(status.message()).c_str());
  return status.ok() ? 0 : 1;
}
