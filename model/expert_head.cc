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

absl::StatusOr<core::FeatureKind> KindOf(const v1::ExpertPart& part, const std::string& file) {
  if (part.feature_kind() == v1::POOLED) return core::FeatureKind::kPooled;
  if (part.feature_kind() == v1::MAP) return core::FeatureKind::kMap;
  return absl::InvalidArgumentError(
      absl::StrCat(file, ": feature kind ", v1::FeatureKind_Name(part.feature_kind()),
                   " can't be served by this build; known: POOLED, MAP"));
}

absl::Status NoSuchDomain(const v1::ModelManifest& manifest, const std::string& domain) {
  std::vector<std::string> known;
  for (const v1::ExpertPart& expert : manifest.experts()) known.push_back(expert.domain());
  return absl::NotFoundError(absl::StrCat("model ", VersionName(manifest), " has no domain \"",
                                          domain, "\"; it has: ", absl::StrJoin(known, ", ")));
}

/// [rows, row width…]
std::vector<int64_t> BatchShape(core::FeatureKind kind, size_t rows) {
  std::vector<int64_t> shape = nets::RowShape(kind);
  shape.insert(shape.begin(), static_cast<int64_t>(rows));
  return shape;
}

}  // namespace

struct ExpertHead::Impl {
  v1::ExpertPart part;
  core::FeatureKind kind;
  size_t row_width;
  std::unique_ptr<nets::Servable> network;
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
  ORCHARD_RETURN_IF_ERROR(internal::CheckFingerprint(file, part.encoder_fingerprint(),
                                                     manifest.encoder().fingerprint()));
  ORCHARD_ASSIGN_OR_RETURN(const core::FeatureKind kind, KindOf(part, file));
  ORCHARD_ASSIGN_OR_RETURN(const TensorMap tensors, ReadPart(version_dir, part.file()));
  return nets::Guarded(file, [&]() -> absl::StatusOr<std::unique_ptr<ExpertHead>> {
    ORCHARD_ASSIGN_OR_RETURN(
        const nets::Head head,
        internal::LoadHead(part.architecture(), kind, part.classes_size(), tensors, "", file));
    const auto forward = [head](const torch::Tensor& x) {
      return std::vector<torch::Tensor>{head->forward(x)};
    };
    const torch::Tensor example = torch::zeros(BatchShape(kind, 1));
    ORCHARD_ASSIGN_OR_RETURN(auto network,
                             nets::MakeServable(head->way(), "expert", *head, forward, example));
    return std::unique_ptr<ExpertHead>(new ExpertHead(std::make_unique<Impl>(
        Impl{part, kind, static_cast<size_t>(example.numel()), std::move(network)})));
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
        impl_->network->Run(internal::ViewOf(features, BatchShape(impl_->kind, rows))));
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

}  // namespace orchard::model
