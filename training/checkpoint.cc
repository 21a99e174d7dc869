#include "training/checkpoint.h"

#include <cstring>

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

absl::Status WriteSnapshot(const std::filesystem::path& file, const Snapshot& snapshot) {
  model::TensorMap stored;
  for (const auto& [name, tensor] : snapshot) {
    const bool integers = tensor.scalar_type() == torch::kLong;
    const torch::Tensor plain =
        tensor.detach().to(integers ? torch::kLong : torch::kFloat32).contiguous();
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
