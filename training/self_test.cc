#include "training/self_test.h"

#include <algorithm>
#include <array>
#include <random>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include <ATen/Parallel.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <torch/utils.h>
#include <torch/version.h>

#include "core/status.h"
#include "nets/guarded.h"
#include "nets/vit_moe/vit_moe.h"
#include "training/loop/average.h"
#include "training/loop/callbacks.h"
#include "training/loop/classifier.h"
#include "training/loop/loop.h"

namespace orchard::training {
namespace {

constexpr int64_t kSide = 32;   // pixels
constexpr size_t kColours = 4;  // classes
constexpr size_t kEpochs = 2;
constexpr size_t kBatches = 8;  // that are drawn, and given in turn
constexpr std::uint64_t kSeed = 17;

/// Noise with a tint in red, green, blue or none: which one is the label.
class Tints final : public Task {
 public:
  Tints(size_t steps, size_t batch) : steps_(steps), batch_(batch) {
    std::mt19937_64 random(kSeed);
    for (size_t b = 0; b < std::min(steps, kBatches); ++b) batches_.push_back(Draw(random));
  }
  size_t steps() const override { return steps_; }
  size_t batch() const override { return batch_; }
  void BeginEpoch(size_t /*epoch*/) override { next_ = 0; }
  Batch Next() override { return batches_[next_++ % batches_.size()]; }

 private:
  Batch Draw(std::mt19937_64& random) const {
    constexpr std::uint64_t kNoise = 192, kTint = 63;
    Batch batch;
    batch.pixels = torch::empty({static_cast<int64_t>(batch_), kSide, kSide, 3}, torch::kUInt8);
    auto* value = batch.pixels.data_ptr<std::uint8_t>();
    for (size_t i = 0; i < batch_; ++i) {
      const size_t label = i % kColours;
      batch.labels.push_back({.domain = 0, .label = label});
      for (int64_t at = 0; at < kSide * kSide * 3; ++at) {
        const std::uint64_t tint = static_cast<size_t>(at % 3) == label ? kTint : 0;
        *value++ = static_cast<std::uint8_t>(random() % kNoise + tint);
      }
    }
    return batch;
  }

  size_t steps_, batch_;
  std::vector<Batch> batches_;
  size_t next_ = 0;
};

/// Losses, and the pace of the last epoch.
class Watch final : public Callback {
 public:
  void AfterStep(LoopState& state) override {
    if (state.all_steps() == 0) result.first_loss = state.loss;
  }
  absl::Status AfterEpoch(LoopState& state) override {
    result.last_loss = state.mean_loss;
    result.pictures_per_second = state.pictures_per_second();
    return absl::OkStatus();
  }

  SelfTest result;
};

absl::StatusOr<nets::Vit> MakeNetwork(const SelfTestOptions& options) {
  torch::manual_seed(kSeed);
  nets::VitOptions vit;
  vit.classes = static_cast<int64_t>(kColours);
  vit.layers = options.layers;
  vit.width = options.width;
  vit.hidden = 2 * options.width;
  vit.convolutional_stem = true;
  return nets::MakeVit(vit);
}

/// In double precision a token whose experts are chosen by a hair is chosen the same everywhere.
double Difference(nets::Vit& network, const SelfTestOptions& options) {
  const torch::NoGradGuard guard;
  network->eval();
  network->to(torch::kCPU, torch::kFloat64);
  const torch::Tensor x =
      torch::rand({static_cast<int64_t>(options.batch), 3, kSide, kSide}, torch::kFloat64) * 2 - 1;
  const torch::Tensor here = network->forward(x).logits;
  network->to(options.device, torch::kFloat64);
  const torch::Tensor there = network->forward(x.to(options.device)).logits.to(torch::kCPU);
  return ((here - there).abs().max() / here.abs().max()).item<double>();
}

absl::StatusOr<SelfTest> Train(nets::Vit& network, const SelfTestOptions& options) {
  network->to(options.device, torch::kFloat32);
  nets::VitOutput output;
  const auto forward = [&](const torch::Tensor& pixels) {
    output = network->forward(pixels.permute({0, 3, 1, 2}).to(torch::kFloat32) / 127.5 - 1.0);
    return output.logits;
  };
  const auto balance = [&] { return network->Terms(output, {.balance = 0.01, .z = 0.001}); };
  Classifier model(*network, forward, {.rate = 1e-3, .auxiliary = balance});
  AdamW optimiser(model.Parameters(), 0.05);
  WeightAverage average(optimiser.parameters(), 0.9);
  Averaging averaging(average);
  Tints task(options.steps, options.batch);
  Watch watch;
  const std::array<Callback*, 2> callbacks = {&averaging, &watch};
  ORCHARD_RETURN_IF_ERROR(
      RunLoop(task, model, optimiser, callbacks,
              {.title = "self-test",
               .epochs = kEpochs,
               .gradient_norm = 1.0,
               .seed = kSeed,
               .device = options.device,
               .arithmetic = options.device.is_cpu() ? Arithmetic::kFp32 : Arithmetic::kBf16}));
  return watch.result;
}

}  // namespace

absl::StatusOr<SelfTest> RunSelfTest(const SelfTestOptions& options) {
  return nets::Guarded("the self-test", [&]() -> absl::StatusOr<SelfTest> {
    at::set_num_threads(static_cast<int>(options.threads));
    ORCHARD_ASSIGN_OR_RETURN(nets::Vit network, MakeNetwork(options));
    const double difference = Difference(network, options);
    ORCHARD_ASSIGN_OR_RETURN(SelfTest result, Train(network, options));
    result.difference = difference;
    return result;
  });
}

absl::Status JudgeSelfTest(const SelfTest& result) {
  const bool same = result.difference <= kSelfTestTolerance;  // No NaN is.
  if (same && result.last_loss < result.first_loss) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrFormat("the device is not to be trained on: its logits are %.1e from the CPU's (at "
                      "most %.0e), the loss went from %.4f to %.4f (it must fall)",
                      result.difference, kSelfTestTolerance, result.first_loss, result.last_loss));
}

std::string DescribeDevice(const torch::Device& device) {
  std::string text = absl::StrCat("LibTorch ", TORCH_VERSION, ", device ", device.str(), "\n");
  if (device.is_cuda()) absl::StrAppend(&text, at::detail::getCUDAHooks().showConfig());
  return text;
}

}  // namespace orchard::training
