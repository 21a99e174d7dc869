#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include <torch/types.h>

namespace orchard::training {

struct SelfTestOptions {
  torch::Device device = torch::kCPU;
  size_t threads = 2;
  size_t batch = 64;   ///< pictures
  size_t steps = 10;   ///< an epoch of two
  int64_t layers = 9;  ///< of the network, a corrected ViT-MoE with a stem, 7 experts, 3 chosen
  int64_t width = 192;
};

/// What a device made of a network that everyone has: no data and no weights are needed.
struct SelfTest {
  /// Of a batch's logits in double precision from the CPU's, the largest, as a share of the largest
  /// logit.
  double difference = 0.0;
  double first_loss = 0.0;  ///< of the first step of training (BF16 on a GPU, FP32 on the CPU)
  double last_loss = 0.0;   ///< mean of the last epoch's steps
  double pictures_per_second = 0.0;  ///< of the last epoch
};

/// How far the logits may be off: sums in another order, in double precision.
inline constexpr double kSelfTestTolerance = 1e-9;

/// Runs a network forwards on the CPU and on the device, and trains it for two epochs on pictures
/// that are drawn: the way of a batch from the loop over the network to optimiser and average, on
/// the device. Errors: INVALID_ARGUMENT for options that make no network; RunLoop's; INTERNAL with
/// LibTorch's message.
absl::StatusOr<SelfTest> RunSelfTest(const SelfTestOptions& options);

/// Whether the device computes what the CPU does, and learns. Errors: FAILED_PRECONDITION with what
/// was measured and the limit.
absl::Status JudgeSelfTest(const SelfTest& result);

/// What LibTorch says of itself and, for a GPU, of CUDA; a few lines.
std::string DescribeDevice(const torch::Device& device);

}  // namespace orchard::training
