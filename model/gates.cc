#include "model/gates.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include <torch/torch.h>

#include "core/log_space.h"
#include "core/status.h"
#include "model/internal/choices.h"
#include "model/internal/networks.h"
#include "model/store.h"
#include "model/unknown_score.h"
#include "nets/guarded.h"
#include "nets/mobilenet_v2.h"
#include "nets/serve/servable.h"

namespace orchard::model {
namespace {

using internal::Choice;

/// Tensors that belong to no gate and no score.
absl::Status CheckNames(const TensorMap& tensors, const std::vector<Choice>& choices,
                        const std::string& file) {
  std::vector<std::string> strangers;
  for (const auto& [name, tensor] : tensors) {
    const bool known = absl::StartsWith(name, "unknown.") ||
                       std::ranges::any_of(choices, [&name = name](const Choice& choice) {
                         return choice.HasNetwork() && absl::StartsWith(name, choice.prefix);
                       });
    if (!known) strangers.push_back(absl::StrCat("\"", name, "\""));
  }
  if (strangers.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(file, ": tensors of no gate: ", absl::StrJoin(strangers, ", ")));
}

/// All gates as one graph: pooled [N, D] → the logits of each, in the order of `choices`.
struct GateNetworks final : torch::nn::Module {
  std::vector<torch::Tensor> Forward(const torch::Tensor& pooled) {
    std::vector<torch::Tensor> logits;
    for (const nets::Head& head : heads) logits.push_back(head->forward(pooled));
    return logits;
  }
  std::vector<nets::Head> heads;
};

absl::StatusOr<std::unique_ptr<nets::Servable>> LoadNetworks(const v1::GatesPart& part,
                                                             const TensorMap& tensors,
                                                             const std::vector<Choice>& choices,
                                                             const std::string& file) {
  GateNetworks networks;
  // Where every choice has one option there is nothing to compute.
  if (std::ranges::none_of(choices, &Choice::HasNetwork)) return std::unique_ptr<nets::Servable>();
  for (const Choice& choice : choices) {
    if (!choice.HasNetwork()) continue;
    ORCHARD_ASSIGN_OR_RETURN(
        nets::Head head, internal::LoadHead(part.architecture(), core::FeatureKind::kPooled,
                                            static_cast<int64_t>(choice.options.size()), tensors,
                                            choice.prefix, file));
    networks.heads.push_back(
        networks.register_module(absl::StrCat("gate", networks.heads.size()), std::move(head)));
  }
  const auto forward = [&networks](const torch::Tensor& x) { return networks.Forward(x); };
  return nets::MakeServable(nets::Way::kFrozen, "gates", networks, forward,
                            torch::zeros({1, nets::kPooledWidth}));
}

/// The outputs of the networks, handed out in the order of the choices.
class LogitQueue {
 public:
  LogitQueue(std::vector<torch::Tensor> logits, size_t rows)
      : logits_(std::move(logits)), rows_(rows) {}

  /// Calls put(row, option, log p) for every row and option of `choice`, the next in order.
  /// Errors: INTERNAL for logits that are not finite.
  template <typename Put>
  absl::Status Decide(const Choice& choice, const Put& put) {
    if (!choice.HasNetwork()) {
      for (size_t row = 0; row < rows_; ++row) put(row, choice.options.at(0), 0.0);
      return absl::OkStatus();
    }
    const torch::Tensor own = logits_.at(next_++).contiguous();
    if (!internal::IsFinite(own)) {
      return absl::InternalError(
          absl::StrCat("gate ", choice.prefix, ": NaN or an infinity among the logits"));
    }
    const size_t width = choice.options.size();
    const std::span<const float> all(own.data_ptr<float>(), rows_ * width);
    for (size_t row = 0; row < rows_; ++row) {
      const std::vector<double> logs =
          core::LogSoftmax(all.subspan(row * width, width), choice.temperature);
      for (size_t i = 0; i < width; ++i) put(row, choice.options[i], logs[i]);
    }
    return absl::OkStatus();
  }

 private:
  std::vector<torch::Tensor> logits_;
  size_t rows_;
  size_t next_ = 0;
};

/// Of the features that the gates read.
size_t PooledWidth(const v1::ModelManifest& manifest) {
  for (const v1::FeatureSpec& feature : manifest.encoder().features()) {
    if (feature.kind() == v1::POOLED) return static_cast<size_t>(feature.shape(0));
  }
  return static_cast<size_t>(nets::kPooledWidth);
}

}  // namespace

GateBatch Certain(size_t rows) {
  return {.rows = rows,
          .branches = 1,
          .domains = 1,
          .log_branch = std::vector<double>(rows, 0.0),
          .log_domain = std::vector<double>(rows, 0.0),
          .unknown_score = std::vector<double>(rows, 0.0)};
}

struct Gates::Impl {
  std::vector<Choice> choices;  // Gate1, then Gate2 of each branch
  size_t branches = 0;
  size_t domains = 0;
  std::unique_ptr<nets::Servable> networks;  // null: nothing to choose
  std::unique_ptr<UnknownScore> unknown;     // null: no score
  size_t width = 0;                          // of the pooled features

  /// Errors: INTERNAL for a score that is not finite.
  absl::Status ScoreRows(const core::View& pooled, GateBatch& gates) const;
};

absl::Status Gates::Impl::ScoreRows(const core::View& pooled, GateBatch& gates) const {
  if (unknown == nullptr) return absl::OkStatus();
  for (size_t row = 0; row < gates.rows; ++row) {
    gates.unknown_score[row] = unknown->Score(pooled.Floats(row, 1), gates.LogDomain(row));
    if (!std::isfinite(gates.unknown_score[row])) {
      return absl::InternalError("gates: NaN or an infinity as the unknown-domain score");
    }
  }
  return absl::OkStatus();
}

Gates::Gates(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Gates::~Gates() = default;

absl::StatusOr<std::unique_ptr<Gates>> Gates::Load(const std::filesystem::path& version_dir,
                                                   const v1::ModelManifest& manifest) {
  const v1::GatesPart& part = manifest.gates();
  const std::string file = version_dir / part.file().path();
  ORCHARD_RETURN_IF_ERROR(internal::CheckFingerprint(file, part.encoder_fingerprint(),
                                                     manifest.encoder().fingerprint()));
  ORCHARD_ASSIGN_OR_RETURN(const TensorMap tensors, ReadPart(version_dir, part.file()));
  std::vector<Choice> choices = internal::ChoicesOf(manifest);
  ORCHARD_RETURN_IF_ERROR(CheckNames(tensors, choices, file));
  return nets::Guarded(file, [&]() -> absl::StatusOr<std::unique_ptr<Gates>> {
    ORCHARD_ASSIGN_OR_RETURN(auto networks, LoadNetworks(part, tensors, choices, file));
    const size_t width = PooledWidth(manifest);
    std::unique_ptr<UnknownScore> unknown;
    if (part.has_unknown_score()) {
      ORCHARD_ASSIGN_OR_RETURN(unknown,
                               MakeUnknownScore(part.unknown_score(), tensors, width, file));
    }
    return std::unique_ptr<Gates>(new Gates(
        std::make_unique<Impl>(Impl{std::move(choices), static_cast<size_t>(part.branches_size()),
                                    static_cast<size_t>(manifest.experts_size()),
                                    std::move(networks), std::move(unknown), width})));
  });
}

absl::StatusOr<GateBatch> Gates::Evaluate(const core::FeatureBatch& features) const {
  const size_t rows = features.rows;
  const std::shared_ptr<const core::View> view = features.Find(core::FeatureKind::kPooled);
  if (rows == 0 || view == nullptr || view->rows() != rows ||
      view->spec().RowWidth() != impl_->width) {
    return absl::InternalError(
        absl::StrCat("gates: ", view == nullptr ? 0 : view->rows() * view->spec().RowWidth(),
                     " features for ", rows, " rows of ", impl_->width));
  }
  return nets::Guarded("gates", [&]() -> absl::StatusOr<GateBatch> {
    const c10::InferenceMode guard;
    std::vector<torch::Tensor> outputs;
    if (impl_->networks != nullptr) {
      const torch::Tensor pooled = internal::ViewOf(
          view->Floats(0, rows), {static_cast<int64_t>(rows), static_cast<int64_t>(impl_->width)});
      ORCHARD_ASSIGN_OR_RETURN(outputs, impl_->networks->Run(pooled));
    }
    LogitQueue logits(std::move(outputs), rows);
    GateBatch gates{.rows = rows,
                    .branches = impl_->branches,
                    .domains = impl_->domains,
                    .log_branch = std::vector<double>(rows * impl_->branches),
                    .log_domain = std::vector<double>(rows * impl_->domains),
                    .unknown_score = std::vector<double>(rows)};
    ORCHARD_RETURN_IF_ERROR(
        logits.Decide(impl_->choices[0], [&gates](size_t row, size_t branch, double log_p) {
          gates.log_branch[row * gates.branches + branch] = log_p;
        }));
    for (size_t b = 0; b < impl_->branches; ++b) {
      ORCHARD_RETURN_IF_ERROR(
          logits.Decide(impl_->choices[b + 1], [&gates, b](size_t row, size_t g, double log_p) {
            gates.log_domain[row * gates.domains + g] = gates.LogBranch(row)[b] + log_p;
          }));
    }
    ORCHARD_RETURN_IF_ERROR(impl_->ScoreRows(*view, gates));
    return gates;
  });
}

}  // namespace orchard::model
