#include "training/studies/gates/learn.h"

#include <algorithm>
#include <array>
#include <optional>

#include "absl/strings/str_format.h"
#include <torch/torch.h>

#include "core/status.h"
#include "model/torch_state.h"
#include "training/log/history.h"
#include "training/log/record_epochs.h"
#include "training/log/say.h"
#include "training/loop/average.h"
#include "training/loop/callbacks.h"
#include "training/loop/loop.h"
#include "training/work_folder.h"

namespace orchard::training {
namespace {

/// Gates as the loop trains them: batches hold {pooled} and labels.
class GatesModel final : public Model {
 public:
  GatesModel(GatesImpl& gates, double rate) : gates_(gates), rate_(rate) {}

  torch::nn::Module& module() override { return gates_; }

  absl::StatusOr<LossTerms> Loss(const Batch& batch) override {
    if (batch.features.empty() || batch.labels.empty()) {
      return absl::InvalidArgumentError("gates learn from features with labels");
    }
    LossTerms terms(static_cast<double>(batch.labels.size()));
    terms.Add("branch", 1.0, gates_.BranchLoss(batch.features[0], batch.labels));
    terms.Add("domain", 1.0, gates_.DomainLoss(batch.features[0], batch.labels));
    return terms;
  }

  std::vector<TrainedParameter> Parameters() override {
    return TrainedParameters(gates_, [this](const auto&...) { return rate_; });
  }

 private:
  GatesImpl& gates_;
  double rate_;
};

}  // namespace

GateFigures MeasureGates(GatesImpl& gates, const GateSide& side) {
  const torch::NoGradGuard guard;
  gates.eval();
  const torch::Tensor& pooled = side.features.pooled;
  const GateLogProbabilities log =
      CombineGates(gates.tree(), gates.Forward(pooled), GateTemperatures{}, pooled);
  const torch::Tensor branch = log.branch.argmax(1).contiguous();  // [N]
  const torch::Tensor domain = log.domain.argmax(1).contiguous();  // [N]
  GateFigures figures;
  std::vector<int64_t> truth;
  for (size_t i = 0; i < side.labels.size(); ++i) {
    const size_t g = side.labels[i].domain;
    truth.push_back(static_cast<int64_t>(g));
    figures.branch.Count(branch.data_ptr<int64_t>()[i] ==
                         static_cast<int64_t>(gates.tree().branch_of[g]));
    figures.domain.Count(domain.data_ptr<int64_t>()[i] == truth.back());
  }
  const torch::Tensor column = torch::tensor(truth, torch::kLong).unsqueeze(1);  // [N, 1]
  figures.nll = -log.domain.gather(1, column).mean().item<double>();
  return figures;
}

absl::Status LearnGates(const v1::Recipe& recipe, GatesImpl& gates, const GateSide& train,
                        const GateSide& validation, const std::filesystem::path& work,
                        RunLog& log) {
  const v1::Optimisation& o = recipe.optimisation();
  GatesModel model(gates, o.head_rate());
  AdamW optimiser(model.Parameters(), o.weight_decay());
  WeightAverage average(optimiser.parameters(), o.average_decay());
  FeatureTask task(train.features, train.labels, recipe,
                   {.batch = o.batch(), .phase = 90, .with_map = false});
  ORCHARD_ASSIGN_OR_RETURN(History history, History::Open(work / kHistory, /*epochs_done=*/0));
  FollowSchedule schedule(ScheduleOf(o, task.steps()));
  Averaging averaging(average);
  Validation validate(
      {.every = o.validate_every(), .after = o.validate_after(), .last = o.epochs()}, &average,
      [&](LoopState& state) -> absl::StatusOr<std::optional<double>> {
        const GateFigures figures = MeasureGates(gates, validation);
        state.measures = {{"nll", figures.nll}, {"branch", figures.branch.Share()}};
        return std::optional<double>(figures.domain.Share());
      });
  KeepBest best(work / kBest, gates, &average);
  EarlyStop early(o.patience());
  SayEpoch say;
  RecordEpochs record(history), log_epoch(log);
  RecordBest log_best(log, work / kBest, best);
  const std::array<Callback*, 9> callbacks = {&schedule, &averaging, &validate,  &best,    &early,
                                              &say,      &record,    &log_epoch, &log_best};
  ORCHARD_RETURN_IF_ERROR(RunLoop(task, model, optimiser, callbacks,
                                  {.title = "gates",
                                   .epochs = o.epochs(),
                                   .accumulate = std::max<size_t>(o.accumulate(), 1),
                                   .gradient_norm = o.gradient_norm(),
                                   .seed = Mix(recipe.seed(), /*a=*/20)}));
  ORCHARD_ASSIGN_OR_RETURN(const model::TensorMap kept, model::ReadSafetensors(work / kBest));
  ORCHARD_RETURN_IF_ERROR(model::LoadState(gates, kept, "", (work / kBest).string()));
  gates.eval();
  const GateFigures figures = MeasureGates(gates, validation);
  Say(absl::StrFormat(
      "best: epoch %d; of %d validation pictures the branch is right for %.4f, "
      "the domain for %.4f",
      best.epoch(), figures.domain.total, figures.branch.Share(), figures.domain.Share()));
  return absl::OkStatus();
}

}  // namespace orchard::training
