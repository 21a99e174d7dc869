#include "training/studies/masked_moe/fit.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "core/printable.h"
#include "core/status.h"
#include "router/profile.h"
#include "training/data/split.h"
#include "training/data/undersample.h"
#include "training/log/record_epochs.h"
#include "training/log/say.h"
#include "training/loop/average.h"
#include "training/loop/callbacks.h"
#include "training/loop/checkpoint.h"
#include "training/loop/feature_task.h"
#include "training/loop/loop.h"
#include "training/loop/picture_task.h"
#include "training/recipe.h"
#include "training/studies/masked_moe/features.h"
#include "training/studies/masked_moe/metrics.h"
#include "training/studies/masked_moe/models.h"
#include "training/studies/masked_moe/run.h"
#include "training/studies/masked_moe/statements.h"
#include "training/work_folder.h"

namespace orchard::training {
namespace {

namespace fs = std::filesystem;

/// The peak rate of a pretrained tensor (recipe.proto, relative_encoder_rate).
double PretrainedRate(const v1::Optimisation& o, const torch::Tensor& value) {
  if (!o.relative_encoder_rate()) return o.encoder_rate();
  constexpr double kOfChannels = 0.3;
  const double size = value.detach().square().mean().sqrt().item<double>();
  return o.encoder_rate() * size * (value.dim() >= 2 ? 1.0 : kOfChannels);
}

/// Tails' ends start from the encoder and learn at its rate; everything else is new.
RateOf Rates(const v1::Optimisation& o, double head_rate) {
  return [&o, head_rate](const std::string& name, const torch::Tensor& value) {
    const bool pretrained =
        name.starts_with("encoder.") || name.find(".project.") != std::string::npos;
    return pretrained ? PretrainedRate(o, value) : head_rate;
  };
}

/// What a run log keeps of the pictures.
std::vector<Fact> DataFacts(const Run& run) {
  std::vector<Fact> facts;
  const auto add = [&](const char* topic, const std::string& name, size_t count) {
    facts.push_back({.topic = topic, .name = name, .value = static_cast<std::int64_t>(count)});
  };
  add("data", "domains", run.dataset.domains.size());
  add("data", "classes", TotalClasses(run.dataset.domains));
  add("data", "train", On(run.sides, Side::kTrain).size());
  add("data", "validation", On(run.sides, Side::kValidation).size());
  add("data", "test", On(run.sides, Side::kTest).size());
  add("data", "groups_with_two_labels", run.dataset.dropped.size());
  add("data", "skipped", run.dataset.skipped.size());
  std::vector<size_t> train(run.dataset.domains.size());
  for (const Label& label : run.Labels(On(run.sides, Side::kTrain))) ++train[label.domain];
  for (size_t g = 0; g < train.size(); ++g) add("train", run.dataset.domains[g].name, train[g]);
  return facts;
}

/// A run in progress: its phases share the pictures and the network.
class FitRun {
 public:
  FitRun(Run run, const FitOptions& options)
      : run_(std::move(run)),
        options_(options),
        log_(options.log != nullptr ? *options.log : no_log_) {
    concept_of_ = ConceptOfClass(run_.recipe, run_.dataset.domains);
    first_trained_ = run_.recipe.masked_moe().frozen_blocks();
    train_ = On(run_.sides, Side::kTrain);
    validation_ = On(run_.sides, Side::kValidation);
  }

  absl::Status Go() {
    ORCHARD_RETURN_IF_ERROR(LoadValidation());
    if (run_.recipe.masked_moe().linear_heads()) {
      ORCHARD_RETURN_IF_ERROR(RenewHeads(WithLinearHeads(run_.recipe), /*number=*/0));
    }
    ORCHARD_RETURN_IF_ERROR(Begin());
    ORCHARD_ASSIGN_OR_RETURN(const bool finished, FineTune());
    return finished ? Refit() : absl::OkStatus();
  }

 private:
  /// Up to where the epochs begin: from a checkpoint, another run's network, or the import.
  absl::Status Begin() {
    ORCHARD_ASSIGN_OR_RETURN(const FeatureTable table, ChoosePictures());
    if (GoesOn()) {
      ORCHARD_ASSIGN_OR_RETURN(saved_, ReadSnapshot(run_.places.work / kCheckpoint));
      return core::Annotate(LoadModule(*run_.network, Under(saved_, "network.")),
                            (run_.places.work / kCheckpoint).string());
    }
    if (options_.start_from.empty()) return TrainHeads(table);
    return BeginWithAnotherRun();
  }

  /// Its whole network; where a head is another one there, its encoder alone.
  absl::Status BeginWithAnotherRun() {
    ORCHARD_ASSIGN_OR_RETURN(const Snapshot start, ReadSnapshot(options_.start_from / kFinal));
    if (CheckShapes(start, StateOfModule(*run_.network)).ok()) {
      ORCHARD_RETURN_IF_ERROR(LoadModule(*run_.network, start));
      return SaveStart();
    }
    Say("its heads are others: beginning with its encoder");
    ORCHARD_RETURN_IF_ERROR(
        core::Annotate(LoadModule(*run_.network->encoder, Under(start, "encoder.")),
                       (options_.start_from / kFinal).string()));
    run_.network->StartFrom(*run_.network->encoder);  // Tails begin as copies of its end.
    FeatureTable table;
    if (HeadsNeedFeatures()) {
      ORCHARD_ASSIGN_OR_RETURN(table, Encode());
    }
    return TrainHeads(table);
  }

  ShardedEncoder::Options EncoderOptions() const {
    return {.first_trained = first_trained_, .threads = run_.places.threads};
  }

  /// Epochs of the recipe that are to be done when this call ends.
  size_t LastEpoch() const {
    const size_t all = run_.recipe.optimisation().epochs();
    return options_.stop_after > 0 ? std::min(options_.stop_after, all) : all;
  }

  absl::Status LoadValidation() {
    if (validation_.empty()) return absl::OkStatus();
    ORCHARD_ASSIGN_OR_RETURN(
        validation_pixels_,
        DecodeForServing(run_.Files(validation_), router::ProfileOf(PreprocessingOf(run_.recipe)),
                         run_.places.threads));
    return absl::OkStatus();
  }

  bool GoesOn() const { return options_.resume && fs::exists(run_.places.work / kCheckpoint); }

  /// Applies the quotas; returns the features of what is kept, where something needs them. Comes
  /// before any weights are loaded: medoids are chosen by the encoder as it was imported, so that a
  /// run that goes on keeps the pictures it began with.
  absl::StatusOr<FeatureTable> ChoosePictures() {
    FeatureTable table;
    const bool trains_heads = !GoesOn() && options_.start_from.empty() && HeadsNeedFeatures();
    if (trains_heads || NeedsFeaturesToChoose()) {
      ORCHARD_ASSIGN_OR_RETURN(table, Encode());
    }
    Choose(table);
    return trains_heads ? std::move(table) : FeatureTable{};
  }

  /// Features of the training pictures by the encoder as it is now.
  absl::StatusOr<FeatureTable> Encode() {
    const orchard::v1::Preprocessing preprocessing = PreprocessingOf(run_.recipe);
    ShardedEncoder encoder(run_.network->encoder, preprocessing, EncoderOptions());
    return EncodeFiles(encoder, run_.Files(train_), router::ProfileOf(preprocessing),
                       run_.places.threads, "encode");
  }

  /// The tails' statistics and the head epochs: all on the frozen encoder, whose features `table`
  /// holds where HeadsNeedFeatures.
  absl::Status TrainHeads(const FeatureTable& table) {
    const v1::Optimisation& o = run_.recipe.optimisation();
    const v1::MaskedMoe& m = run_.recipe.masked_moe();
    MeasureTails(table, run_.Labels(train_));
    if (m.head_epochs() > 0) {
      const HeadPhase phase{.title = "heads",
                            .epochs = m.head_epochs(),
                            .rate = m.head_epoch_rate() > 0.0 ? m.head_epoch_rate() : o.head_rate(),
                            .decay = o.weight_decay(),
                            .number = 30};
      ORCHARD_RETURN_IF_ERROR(HeadEpochs(phase, table, run_.Labels(train_)));
    }
    return SaveStart();
  }

  /// Whether TrainHeads has something to learn or to measure.
  bool HeadsNeedFeatures() const {
    if (run_.recipe.masked_moe().head_epochs() > 0) return true;
    for (size_t g = 0; g < run_.dataset.domains.size(); ++g) {
      if (run_.network->ReadsMap(g)) return true;
    }
    return false;
  }

  bool NeedsFeaturesToChoose() const {
    if (run_.recipe.data().undersampling() != v1::MEDOID) return false;
    return std::ranges::any_of(run_.recipe.domains(),
                               [](const v1::Domain& domain) { return domain.quota() > 0; });
  }

  void Choose(FeatureTable& table) {
    std::vector<size_t> quota;
    for (const v1::Domain& domain : run_.recipe.domains()) quota.push_back(domain.quota());
    const std::vector<size_t> kept =
        Undersample(run_.Labels(train_), quota, run_.recipe.data().undersampling(), table.pooled,
                    run_.recipe.seed());
    if (kept.size() == train_.size()) return;
    Say(absl::StrCat("kept ", kept.size(), " of ", train_.size(), " training pictures by quota"));
    std::vector<size_t> chosen;
    for (const size_t i : kept) chosen.push_back(train_[i]);
    train_ = std::move(chosen);
    if (!table.pooled.defined()) return;
    const torch::Tensor rows =
        torch::tensor(std::vector<int64_t>(kept.begin(), kept.end()), torch::kLong);
    table = {.map = table.map.index_select(0, rows), .pooled = table.pooled.index_select(0, rows)};
  }

  void MeasureTails(const FeatureTable& table, const std::vector<Label>& labels) {
    for (size_t g = 0; g < run_.dataset.domains.size(); ++g) {
      if (!run_.network->ReadsMap(g)) continue;
      std::vector<int64_t> rows;
      for (size_t i = 0; i < labels.size(); ++i) {
        if (labels[i].domain == g) rows.push_back(static_cast<int64_t>(i));
      }
      const torch::Tensor index = torch::tensor(rows, torch::kLong);
      run_.network->MeasureStatistics(g, table.Rows(index).map.to(run_.device));
    }
  }

  /// How a phase of head epochs learns.
  struct HeadPhase {
    std::string title;
    size_t epochs = 0;
    double rate = 0.0;
    double decay = 0.0;
    std::uint64_t number = 0;  ///< makes the phase's random numbers its own
    bool tails_as_linear = false;
  };

  absl::Status HeadEpochs(const HeadPhase& phase, const FeatureTable& table,
                          const std::vector<Label>& labels) {
    MaskedMoeImpl& network = *run_.network;
    for (torch::Tensor& p : network.encoder->parameters()) p.set_requires_grad(false);
    const v1::Optimisation& o = run_.recipe.optimisation();
    HeadsModel model(network, run_.recipe.masked_moe().losses(), Rates(o, phase.rate),
                     phase.tails_as_linear);
    AdamW optimiser(model.Parameters(), phase.decay);
    const size_t batch = run_.recipe.masked_moe().head_batch();
    FeatureTask task(table, labels, run_.recipe,
                     {.batch = batch > 0 ? batch : o.batch(),
                      .phase = phase.number,
                      .with_map = !phase.tails_as_linear});
    ShowProgress progress;
    FollowSchedule schedule({.steps = phase.epochs * task.steps(), .warmup = task.steps() / 2});
    RecordEpochs record(log_);
    const std::array<Callback*, 3> callbacks = {&progress, &schedule, &record};
    ORCHARD_RETURN_IF_ERROR(RunLoop(task, model, optimiser, callbacks,
                                    {.title = phase.title,
                                     .epochs = phase.epochs,
                                     .gradient_norm = o.gradient_norm(),
                                     .seed = Mix(run_.recipe.seed(), phase.number),
                                     .device = run_.device}));
    return Validate(phase.title + " trained", /*state=*/nullptr).status();
  }

  /// New heads on what the averaged encoder makes of the served view.
  absl::Status Refit() {
    const v1::MaskedMoe& m = run_.recipe.masked_moe();
    ORCHARD_ASSIGN_OR_RETURN(const Snapshot saved, ReadSnapshot(run_.places.work / kCheckpoint));
    ORCHARD_RETURN_IF_ERROR(core::Annotate(LoadModule(*run_.network, AveragedState(saved)),
                                           (run_.places.work / kCheckpoint).string()));
    if (m.start_share() > 0.0) ORCHARD_RETURN_IF_ERROR(MixWithStart(m.start_share()));
    if (m.refit_epochs() > 0) ORCHARD_RETURN_IF_ERROR(RefitHeads());
    ORCHARD_RETURN_IF_ERROR(WriteSnapshot(run_.places.work / kFinal, StateOfModule(*run_.network)));
    log_.File(run_.places.work / kFinal, /*epoch=*/0);
    return absl::OkStatus();
  }

  /// encoder ← (1 - share) · encoder + share · the encoder that the run began with. Source:
  /// Wortsman et al. 2022 (arXiv:2203.05482).
  absl::Status MixWithStart(double share) {
    ORCHARD_ASSIGN_OR_RETURN(const Snapshot start, ReadSnapshot(options_.start_from / kFinal));
    const Snapshot encoder = Under(start, "encoder.");
    ORCHARD_RETURN_IF_ERROR(
        core::Annotate(CheckShapes(encoder, StateOfModule(*run_.network->encoder)),
                       (options_.start_from / kFinal).string()));
    const torch::NoGradGuard guard;
    for (auto& item : run_.network->encoder->named_parameters()) {
      item.value().lerp_(encoder.at(item.key()).to(run_.device), share);
    }
    return absl::OkStatus();
  }

  absl::Status RefitHeads() {
    const v1::Optimisation& o = run_.recipe.optimisation();
    const v1::MaskedMoe& m = run_.recipe.masked_moe();
    ORCHARD_RETURN_IF_ERROR(RenewHeads(run_.recipe, /*number=*/80));
    ORCHARD_ASSIGN_OR_RETURN(const FeatureTable table, Encode());
    const std::vector<Label> labels = run_.Labels(train_);
    MeasureTails(table, labels);
    HeadPhase phase{.title = "refit",
                    .epochs = m.refit_epochs(),
                    .rate = m.refit_rate() > 0.0 ? m.refit_rate() : o.head_rate(),
                    .decay = m.refit_decay() > 0.0 ? m.refit_decay() : o.weight_decay(),
                    .number = 70,
                    .tails_as_linear = true};
    ORCHARD_RETURN_IF_ERROR(HeadEpochs(phase, table, labels));
    if (m.tail_epochs() == 0) return absl::OkStatus();
    phase.title = "tails";
    phase.epochs = m.tail_epochs();
    if (m.tail_rate() > 0.0) phase.rate = m.tail_rate();
    phase.number = 71;
    phase.tails_as_linear = false;
    return HeadEpochs(phase, table, labels);
  }

  /// Fresh gates and experts of `recipe`; tails start from the encoder as it is now. `number` makes
  /// their random numbers their own.
  absl::Status RenewHeads(const v1::Recipe& recipe, std::uint64_t number) {
    torch::manual_seed(Mix(run_.recipe.seed(), number));
    ORCHARD_ASSIGN_OR_RETURN(const auto fresh, MaskedMoeImpl::Make(recipe, run_.dataset.domains));
    fresh->to(run_.device);
    fresh->StartFrom(*run_.network->encoder);
    run_.network = fresh;
    return absl::OkStatus();
  }

  /// Whether the recipe's epochs are done, by their number or because they were ended early.
  absl::StatusOr<bool> FineTune() {
    const v1::Optimisation& o = run_.recipe.optimisation();
    MaskedMoeImpl& network = *run_.network;
    network.encoder->PrepareFineTuning(first_trained_);
    EndToEndModel model(network, run_.recipe.masked_moe().losses(), Rates(o, o.head_rate()),
                        PreprocessingOf(run_.recipe), EncoderOptions());
    AdamW optimiser(model.Parameters(), o.weight_decay());
    WeightAverage average(optimiser.parameters(), o.average_decay());
    EarlyStop early(o.patience());
    Checkpointing checkpoint(
        {.file = run_.places.work / kCheckpoint,
         .module = &network,
         .optimiser = &optimiser,
         .average = &average,
         .others = o.patience() > 0 ? std::vector<Callback*>{&early} : std::vector<Callback*>{}});
    size_t first = 0;
    if (!saved_.empty()) {
      ORCHARD_ASSIGN_OR_RETURN(first, checkpoint.Restore(saved_));
    }
    const bool last = LastEpoch() == o.epochs();
    if (first >= LastEpoch() || early.stopped()) return last || early.stopped();
    if (first > 0) Say(absl::StrCat("going on after epoch ", first));
    saved_.clear();
    Say(absl::StrCat("loading ", train_.size(), " training pictures"));
    ORCHARD_ASSIGN_OR_RETURN(const PictureStore store,
                             PictureStore::Load(run_.Files(train_), run_.places.threads));
    PictureTask task(store, run_.Labels(train_), run_.recipe, run_.dataset.domains, {});
    ShowProgress progress;
    FollowSchedule schedule(ScheduleOf(o, task.steps()));
    Averaging averaging(average);
    Validation validation(
        {.every = o.validate_every(), .after = o.validate_after(), .last = o.epochs()}, &average,
        [&](LoopState& state) {
          return Validate(absl::StrFormat("epoch %d of %d, loss %.4f", state.epoch + 1, o.epochs(),
                                          state.mean_loss),
                          &state);
        });
    RecordEpochs record(log_);
    RecordFile record_checkpoint(log_, run_.places.work / kCheckpoint);
    const std::array<Callback*, 8> callbacks = {
        &progress, &schedule, &averaging,  &validation,
        &early,    &record,   &checkpoint, &record_checkpoint};
    ORCHARD_RETURN_IF_ERROR(RunLoop(task, model, optimiser, callbacks,
                                    {.title = "epoch",
                                     .first_epoch = first,
                                     .epochs = LastEpoch(),
                                     .accumulate = std::max<size_t>(o.accumulate(), 1),
                                     .gradient_norm = o.gradient_norm(),
                                     .seed = Mix(run_.recipe.seed(), /*a=*/20),
                                     .device = run_.device}));
    if (early.stopped()) Say("ended early: validation has stopped getting better");
    return last || early.stopped();
  }

  /// The mean accuracy of the network as it is; nothing without validation pictures. Every figure
  /// to `state`, which may be null.
  absl::StatusOr<std::optional<double>> Validate(const std::string& what, LoopState* state) {
    if (validation_.empty()) return std::optional<double>();
    ShardedEncoder encoder(run_.network->encoder, PreprocessingOf(run_.recipe), EncoderOptions());
    const nets::EncoderFeatures features = encoder.Encode(validation_pixels_);
    const Logits logits =
        Evaluate(*run_.network, {.map = features.map.to(torch::kCPU, torch::kFloat16),
                                 .pooled = features.pooled.to(torch::kCPU)});
    const Accuracy accuracy =
        Measure(*run_.network, logits, run_.Labels(validation_), Temperatures{}, concept_of_);
    Say(absl::StrCat(what, ": ", ToText(accuracy, run_.dataset.domains)));
    if (state != nullptr) state->measures = Measures(accuracy, run_.dataset.domains);
    return std::optional<double>(accuracy.Mean());
  }

  /// The network before the first epoch.
  absl::Status SaveStart() const {
    return Checkpointing({.file = run_.places.work / kCheckpoint, .module = run_.network.get()})
        .Save(/*epochs_done=*/0);
  }

  Run run_;
  FitOptions options_;
  NoRunLog no_log_;
  RunLog& log_;
  std::vector<size_t> concept_of_;
  int64_t first_trained_ = 0;
  std::vector<size_t> train_, validation_;
  torch::Tensor validation_pixels_;  // uint8 [V, 224, 224, 3]
  Snapshot saved_;                   // of the checkpoint to go on from; empty: from the start
};

}  // namespace

absl::Status Fit(const v1::Recipe& recipe, const RunPlaces& places, const FitOptions& options) {
  ORCHARD_RETURN_IF_ERROR(CheckStart(options.start_from, recipe.masked_moe().start_share()));
  ORCHARD_RETURN_IF_ERROR(CheckWorkFolder(recipe, places.work, options));
  std::error_code error;  // A kill before the split was written leaves nothing to go on with.
  const bool go_on = options.resume && fs::exists(places.work / kSplit, error);
  ORCHARD_ASSIGN_OR_RETURN(Run run, PrepareRun(recipe, places, go_on));
  ORCHARD_RETURN_IF_ERROR(BeginWorkFolder(recipe, places.work, options));
  if (!go_on) {
    ORCHARD_RETURN_IF_ERROR(WriteSplit(places.work / kSplit, run.dataset, run.sides));
  }
  if (options.log != nullptr) options.log->Begin(DataFacts(run));
  for (const std::string& group : run.dataset.dropped) {
    Say("two labels, left out: " + core::Printable(group));
  }
  for (const std::string& file : run.dataset.skipped) {
    Say("no picture, skipped: " + core::Printable(file));
  }
  Say(absl::StrCat(run.dataset.domains.size(), " domains, ", TotalClasses(run.dataset.domains),
                   " classes, ", On(run.sides, Side::kTrain).size(), " pictures to train on, ",
                   On(run.sides, Side::kValidation).size(), " to validate, ",
                   On(run.sides, Side::kTest).size(), " to test"));
  return FitRun(std::move(run), options).Go();
}

}  // namespace orchard::training
