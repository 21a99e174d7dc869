#include "model/internal/networks.h"

#include <cmath>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include <torch/torch.h>

#include "core/status.h"
#include "model/torch_state.h"

namespace orchard::model::internal {

std::string NameOf(const v1::Architecture& architecture) {
  return architecture.has_network() ? nets::NetworkName(architecture.network())
                                    : architecture.name();
}

absl::StatusOr<v1::Network> NetworkOf(const v1::Architecture& architecture) {
  if (architecture.has_network()) {
    const std::vector<std::string> faults = nets::NetworkFaults(architecture.network());
    if (faults.empty()) return architecture.network();
    return absl::InvalidArgumentError(absl::StrJoin(faults, "; "));
  }
  return nets::NetworkOf(architecture.name(),
                         {architecture.arguments().begin(), architecture.arguments().end()});
}

absl::StatusOr<core::FeatureKind> KindOf(const v1::ExpertPart& part, const std::string& file) {
  switch (part.feature_kind()) {
    case v1::POOLED:
      return core::FeatureKind::kPooled;
    case v1::MAP:
      return core::FeatureKind::kMap;
    case v1::IMAGE:
      return core::FeatureKind::kImage;
    default:
      return absl::InvalidArgumentError(absl::StrCat(
          file, ": feature kind ", v1::FeatureKind_Name(part.feature_kind()), " is no kind"));
  }
}

absl::StatusOr<nets::Head> LoadHead(const v1::Architecture& architecture, core::FeatureKind kind,
                                    int64_t classes, const TensorMap& tensors,
                                    const std::string& prefix, const std::string& file) {
  const auto network = NetworkOf(architecture);
  if (!network.ok()) return core::Annotate(network.status(), file);
  const auto entry = nets::FindHead(*network, classes);
  if (!entry.ok()) return core::Annotate(entry.status(), file);
  if ((*entry)->feature_kind != kind) {
    return absl::InvalidArgumentError(
        absl::StrCat(file, ": architecture ", NameOf(architecture),
                     " reads another kind of feature than the manifest says"));
  }
  ORCHARD_ASSIGN_OR_RETURN(const nets::Head head, nets::MakeHead(*network, {.classes = classes}));
  ORCHARD_RETURN_IF_ERROR(LoadState(head->stored(), tensors, prefix, file));
  return head;
}

absl::Status CheckFingerprint(const std::string& file, const std::string& trained_on,
                              const std::string& encoder) {
  if (trained_on == encoder) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(file, ": trained on the encoder ", trained_on, ", but this model's encoder is ",
                   encoder, "; train the part on this encoder, or take the model it belongs to"));
}

torch::Tensor ViewOf(std::span<const float> values, std::vector<int64_t> shape) {
  return torch::from_blob(const_cast<float*>(values.data()), shape, torch::kFloat32);
}

bool IsFinite(const torch::Tensor& tensor) {
  // NaN and ±∞ survive a sum (∞ - ∞ is NaN), and LibTorch's sum is vectorised.
  return std::isfinite(tensor.sum().item<float>());
}

}  // namespace orchard::model::internal
