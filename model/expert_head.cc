#include "model/expert_head.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include <torch/torch.h>

#include "core/log_space.h"
#include "core/status.h"
#include "model/internal/networks.h"
#include "model/manifest.h"
#include "model/store.h"
#include "nets/guarded.h"
#include "nets/serve/servable.h"

namespace orchard::model {
namespace {

absl::Status NoSuchDomain(const v1::ModelManifest& manifest, const std::string& domain) {
  std::vector<std::string> known;
  for (const v1::ExpertPart& expert : manifest.experts()) known.push_back(expert.domain());
  return absl::NotFoundError(absl::StrCat("model ", VersionName(manifest), " has no domain \"",
                                          domain, "\"; it has: ", absl::StrJoin(known, ", ")));
}

/// Of one row.
std::vector<int64_t> ShapeOf(const v1::ExpertPart& part, core::FeatureKind kind) {
  if (kind != core::FeatureKind::kImage) return nets::RowShape(kind);
  const int64_t side = part.preprocessing().crop();
  return {side, side, 3};
}

/// The picture must have the size that the network reads.
absl::Status CheckSide(const v1::ExpertPart& part, const std::string& file) {
  const absl::StatusOr<v1::Network> network = internal::NetworkOf(part.architecture());
  if (!network.ok()) return core::Annotate(network.status(), file);
  const auto entry = nets::FindHead(*network, part.classes_size());
  if (!entry.ok()) return core::Annotate(entry.status(), file);
  const int64_t crop = part.preprocessing().crop();
  if ((*entry)->side == nullptr || (*entry)->side(*network) == crop) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(file, ": preprocessing.crop is ", crop,
                                                 ", and the network reads pictures of ",
                                                 (*entry)->side(*network), " pixels"));
}

/// From what Score is given to logits: of pictures [N, side, side, 3], 0 to 255, the network sees
/// [N, 3, side, side], standardised.
nets::Forward ForwardOf(nets::Head head, const v1::ExpertPart& part, core::FeatureKind kind) {
  if (kind != core::FeatureKind::kImage) {
    return [head](const torch::Tensor& x) { return std::vector<torch::Tensor>{head->forward(x)}; };
  }
  const auto three = [](const auto& v) {
    return torch::tensor({v.Get(0), v.Get(1), v.Get(2)}).view({1, 3, 1, 1});
  };
  const torch::Tensor mean = three(part.preprocessing().mean()) * 255.0;
  const torch::Tensor scale = three(part.preprocessing().std()) * 255.0;
  return [head, mean, scale](const torch::Tensor& x) {
    const torch::Tensor pixels = x.permute({0, 3, 1, 2});
    return std::vector<torch::Tensor>{head->forward(((pixels - mean) / scale).contiguous())};
  };
}

}  // namespace

std::vector<double> LayerLoad::Shares() const {
  double total = 0.0;
  for (const double picks : sums.picks) total += picks;
  std::vector<double> shares = sums.picks;
  for (double& share : shares) share = total > 0.0 ? share / total : 0.0;
  return shares;
}

struct ExpertHead::Impl {
  v1::ExpertPart part;
  core::FeatureKind kind;
  std::vector<int64_t> row_shape;
  size_t row_width;
  nets::Head counted;  // null where nothing is routed inside: a graph has weights of its own
  std::unique_ptr<nets::Servable> network;

  std::vector<int64_t> BatchShape(size_t rows) const {
    std::vector<int64_t> shape = row_shape;
    shape.insert(shape.begin(), static_cast<int64_t>(rows));
    return shape;
  }
};

ExpertHead::ExpertHead(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ExpertHead::~ExpertHead() = default;

absl::StatusOr<std::unique_ptr<ExpertHead>> ExpertHead::Load(
    const std::filesystem::path& version_dir, const v1::ModelManifest& manifest,
    const std::string& domain) {
  const int index = DomainIndex(manifest, domain);
  if (index < 0) return NoSuchDomain(manifest, domain);
  const v1::ExpertPart& part = manifest.experts(index);
  const std::string file = version_dir / part.file().path();
  ORCHARD_ASSIGN_OR_RETURN(const core::FeatureKind kind, internal::KindOf(part, file));
  if (kind == core::FeatureKind::kImage) {
    ORCHARD_RETURN_IF_ERROR(CheckSide(part, file));
  } else {
    ORCHARD_RETURN_IF_ERROR(internal::CheckFingerprint(file, part.encoder_fingerprint(),
                                                       manifest.encoder().fingerprint()));
  }
  ORCHARD_ASSIGN_OR_RETURN(const TensorMap tensors, ReadPart(version_dir, part.file()));
  return nets::Guarded(file, [&]() -> absl::StatusOr<std::unique_ptr<ExpertHead>> {
    ORCHARD_ASSIGN_OR_RETURN(
        const nets::Head head,
        internal::LoadHead(part.architecture(), kind, part.classes_size(), tensors, "", file));
    auto impl =
        std::make_unique<Impl>(Impl{part, kind, ShapeOf(part, kind), 0,
                                    head->way() == nets::Way::kEager ? head : nullptr, nullptr});
    const torch::Tensor example = torch::zeros(impl->BatchShape(1));
    impl->row_width = static_cast<size_t>(example.numel());
    ORCHARD_ASSIGN_OR_RETURN(
        impl->network,
        nets::MakeServable(head->way(), "expert", *head, ForwardOf(head, part, kind), example));
    return std::unique_ptr<ExpertHead>(new ExpertHead(std::move(impl)));
  });
}

absl::StatusOr<ScoreBatch> ExpertHead::Score(std::span<const float> features, size_t rows) const {
  const v1::ExpertPart& part = impl_->part;
  if (rows == 0 || features.size() != rows * impl_->row_width) {
    return absl::InvalidArgumentError(absl::StrCat("expert ", part.domain(), ": ", features.size(),
                                                   " numbers for ", rows, " rows of ",
                                                   impl_->row_width));
  }
  return nets::Guarded("expert " + part.domain(), [&]() -> absl::StatusOr<ScoreBatch> {
    const c10::InferenceMode guard;
    ORCHARD_ASSIGN_OR_RETURN(
        const std::vector<torch::Tensor> outputs,
        impl_->network->Run(internal::ViewOf(features, impl_->BatchShape(rows))));
    const torch::Tensor logits = outputs.at(0).contiguous();
    if (!internal::IsFinite(logits)) {
      return absl::InternalError(
          absl::StrCat("expert ", part.domain(), ": NaN or an infinity among the logits"));
    }
    const auto classes = static_cast<size_t>(part.classes_size());
    const std::span<const float> all(logits.data_ptr<float>(), rows * classes);
    ScoreBatch scores{.rows = rows, .classes = classes, .log_probabilities = {}, .energy = {}};
    scores.log_probabilities.reserve(rows * classes);
    scores.energy.reserve(rows);
    for (size_t row = 0; row < rows; ++row) {
      const std::span<const float> own = all.subspan(row * classes, classes);
      for (const double value : core::LogSoftmax(own, part.temperature())) {
        scores.log_probabilities.push_back(static_cast<float>(value));
      }
      const std::vector<double> wide(own.begin(), own.end());
      scores.energy.push_back(static_cast<float>(core::LogSumExp(wide)));
    }
    return scores;
  });
}

const v1::ExpertPart& ExpertHead::part() const { return impl_->part; }
core::FeatureKind ExpertHead::feature_kind() const { return impl_->kind; }
size_t ExpertHead::row_width() const { return impl_->row_width; }

std::vector<LayerLoad> ExpertHead::LayerLoads() const {
  std::vector<LayerLoad> loads;
  if (impl_->counted == nullptr) return loads;
  for (const nets::RoutingCounts& counts : impl_->counted->Counts()) {
    loads.push_back({.pictures = static_cast<size_t>(counts.pictures),
                     .sums = {.top_k = counts.top_k,
                              .tokens = counts.tokens,
                              .entropy = counts.entropy,
                              .picks = counts.picks,
                              .probability = counts.probability}});
  }
  return loads;
}

bool ExpertHead::RoutesInside() const { return impl_->counted != nullptr; }

void ExpertHead::StartCounting() {
  if (impl_->counted != nullptr) impl_->counted->StartCounting();
}

}  // namespace orchard::model
