#include "training/loop/checkpoint.h"

#include <cstring>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "core/status.h"
#include "core/text.h"
#include "model/safetensors.h"

namespace orchard::training {

void AddTo(Snapshot& all, const std::string& prefix, const Snapshot& snapshot) {
  for (const auto& [name, tensor] : snapshot) all[prefix + name] = tensor;
}

Snapshot Under(const Snapshot& all, const std::string& prefix) {
  Snapshot found;
  for (auto it = all.lower_bound(prefix); it != all.end() && it->first.starts_with(prefix); ++it) {
    found[it->first.substr(prefix.size())] = it->second;
  }
  return found;
}

absl::Status CheckShapes(const Snapshot& state, const Snapshot& wanted) {
  constexpr size_t kNamed = 5;
  std::vector<std::string> faults;
  for (const auto& [name, tensor] : wanted) {
    const auto found = state.find(name);
    if (found == state.end()) {
      faults.push_back(absl::StrCat("\"", name, "\" is missing"));
    } else if (found->second.sizes() != tensor.sizes()) {
      faults.push_back(absl::StrCat("\"", name, "\" has shape [",
                                    absl::StrJoin(found->second.sizes(), ", "), "], must be [",
                                    absl::StrJoin(tensor.sizes(), ", "), "]"));
    }
  }
  if (faults.empty()) return absl::OkStatus();
  const size_t all = faults.size();
  if (all > kNamed) {
    faults.resize(kNamed);
    faults.push_back(absl::StrCat("and ", all - kNamed, " more"));
  }
  return absl::FailedPreconditionError(
      absl::StrCat("is of another network: ", absl::StrJoin(faults, "; ")));
}

absl::Status WriteSnapshot(const std::filesystem::path& file, const Snapshot& snapshot) {
  model::TensorMap stored;
  for (const auto& [name, tensor] : snapshot) {
    const bool integers = tensor.scalar_type() == torch::kLong;
    const torch::Tensor plain =
        tensor.detach().to(torch::kCPU, integers ? torch::kLong : torch::kFloat32).contiguous();
    if (!integers && !plain.isfinite().all().item<bool>()) {
      return absl::FailedPreconditionError(absl::StrCat(file.string(),
                                                        ": not written, what was there is kept: \"",
                                                        name, "\" holds NaN or an infinity"));
    }
    stored[name] = {
        .type = integers ? model::StoredType::kI64 : model::StoredType::kF32,
        .shape = plain.sizes().vec(),
        .bytes = std::string(static_cast<const char*>(plain.data_ptr()), plain.nbytes())};
  }
  return core::WriteFile(file, model::SerialiseSafetensors(stored));
}

absl::StatusOr<Snapshot> ReadSnapshot(const std::filesystem::path& file) {
  ORCHARD_ASSIGN_OR_RETURN(const model::TensorMap stored, model::ReadSafetensors(file));
  Snapshot snapshot;
  for (const auto& [name, tensor] : stored) {
    const auto type = tensor.type == model::StoredType::kI64   ? torch::kLong
                      : tensor.type == model::StoredType::kF16 ? torch::kFloat16
                                                               : torch::kFloat32;
    torch::Tensor copy = torch::empty(tensor.shape, type);
    std::memcpy(copy.data_ptr(), tensor.bytes.data(), tensor.bytes.size());
    snapshot[name] = copy;
  }
  return snapshot;
}

}  // namespace orchard::training
