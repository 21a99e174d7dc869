#include "training/loop/device.h"

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include <torch/cuda.h>
#include <torch/torch.h>

namespace orchard::training {

absl::StatusOr<torch::Device> ParseDevice(const std::string& name) {
  if (name == "cpu") return torch::Device(torch::kCPU);
  int index = 0;
  const bool numbered = absl::StartsWith(name, "cuda:");
  if (name != "cuda" &&
      !(numbered && absl::SimpleAtoi(name.substr(5), &index) && index >= 0 && index < 128)) {
    return absl::InvalidArgumentError(
        absl::StrCat("device \"", name, "\" is unknown; known: cpu, cuda, cuda:N"));
  }
  if (!torch::cuda::is_available()) {
    return absl::FailedPreconditionError(
        absl::StrCat("device ", name,
                     ": this LibTorch has no CUDA, or the machine no GPU; use "
                     "--device cpu, or build with another LibTorch "
                     "(-DORCHARD_LIBTORCH=FOLDER, docs/training.md)"));
  }
  const auto count = static_cast<int>(torch::cuda::device_count());
  if (index >= count) {
    return absl::FailedPreconditionError(
        absl::StrCat("device ", name, ": the machine has ", count, " GPUs, numbered from 0"));
  }
  return torch::Device(torch::kCUDA, static_cast<torch::DeviceIndex>(index));
}

std::vector<double> ValuesOf(const std::vector<torch::Tensor>& scalars) {
  std::vector<double> values;
  if (scalars.empty()) return values;
  if (scalars.front().device().is_cpu()) {
    for (const torch::Tensor& scalar : scalars) values.push_back(scalar.item<double>());
    return values;
  }
  std::vector<torch::Tensor> rows;
  for (const torch::Tensor& scalar : scalars) rows.push_back(scalar.detach().reshape({}));
  const torch::Tensor all = torch::stack(rows).to(torch::kCPU, torch::kFloat64);
  const auto* first = all.data_ptr<double>();
  return {first, first + all.numel()};
}

}  // namespace orchard::training
