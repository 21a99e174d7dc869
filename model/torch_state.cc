#include "model/torch_state.h"

#include <cstring>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"

namespace orchard::model {
namespace {

constexpr double kLargestHalf = 65504.0;

/// Parameters and buffers by name, without what is not stored.
std::map<std::string, torch::Tensor> NamedState(const torch::nn::Module& module) {
  std::map<std::string, torch::Tensor> state;
  for (const auto& parameter : module.named_parameters()) {
    state.emplace(parameter.key(), parameter.value());
  }
  for (const auto& buffer : module.named_buffers()) {
    if (absl::EndsWith(buffer.key(), "num_batches_tracked")) continue;
    state.emplace(buffer.key(), buffer.value());
  }
  return state;
}

std::string ShapeText(c10::ArrayRef<std::int64_t> shape) {
  return absl::StrCat("[", absl::StrJoin(shape.begin(), shape.end(), ", "), "]");
}

/// A view of the stored bytes; `tensor` outlives it. The bytes may lie at any alignment, which
/// x86 and ARMv8 read as they are.
torch::Tensor View(const StoredTensor& tensor) {
  c10::ScalarType type = torch::kFloat32;
  if (tensor.type == StoredType::kF16) type = torch::kFloat16;
  if (tensor.type == StoredType::kI64) type = torch::kInt64;
  return torch::from_blob(const_cast<char*>(tensor.bytes.data()), tensor.shape, type);
}

}  // namespace

TensorMap StateOf(const torch::nn::Module& module, const std::string& prefix, Precision precision) {
  const torch::NoGradGuard guard;
  TensorMap state;
  for (const auto& [name, value] : NamedState(module)) {
    torch::Tensor tensor = value.detach().to(torch::kCPU, torch::kFloat32).contiguous();
    StoredType type = StoredType::kF32;
    if (precision == Precision::kHalf && tensor.dim() >= 2 &&
        tensor.abs().max().item<double>() <= kLargestHalf) {
      type = StoredType::kF16;
      tensor = tensor.to(torch::kFloat16);  // Rounds to nearest, ties to even.
    }
    const auto* bytes = static_cast<const char*>(tensor.data_ptr());
    state.emplace(prefix + name, StoredTensor{.type = type,
                                              .shape = tensor.sizes().vec(),
                                              .bytes = std::string(bytes, tensor.nbytes())});
  }
  return state;
}

absl::Status LoadState(torch::nn::Module& module, const TensorMap& tensors,
                       const std::string& prefix, std::string_view file) {
  const std::map<std::string, torch::Tensor> state = NamedState(module);
  std::vector<std::string> faults;
  for (const auto& [name, target] : state) {
    const auto found = tensors.find(prefix + name);
    if (found == tensors.end()) {
      faults.push_back(absl::StrCat("tensor \"", prefix, name, "\" is missing"));
    } else if (target.sizes() != c10::ArrayRef<std::int64_t>(found->second.shape)) {
      faults.push_back(absl::StrCat("tensor \"", prefix, name, "\" has shape ",
                                    ShapeText(found->second.shape), ", must be ",
                                    ShapeText(target.sizes())));
    }
  }
  for (auto at = tensors.lower_bound(prefix); at != tensors.end(); ++at) {
    if (!absl::StartsWith(at->first, prefix)) break;
    if (!state.contains(at->first.substr(prefix.size()))) {
      faults.push_back(absl::StrCat("tensor \"", at->first, "\" is not of this architecture"));
    }
  }
  if (!faults.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(std::string(file), ": ", absl::StrJoin(faults, "; ")));
  }
  const torch::NoGradGuard guard;
  for (const auto& [name, target] : state) target.copy_(View(tensors.at(prefix + name)));
  return absl::OkStatus();
}

}  // namespace orchard::model
