#include "training/fit.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include <google/protobuf/text_format.h>

#include "core/status.h"
#include "core/text.h"
#include "router/profile.h"
#include "training/average.h"
#include "training/checkpoint.h"
#include "training/features.h"
#include "training/loop.h"
#include "training/metrics.h"
#include "training/recipe.h"
#include "training/run.h"
#include "training/tasks.h"
#include "training/undersample.h"

namespace orchard::training {
namespace {

namespace fs = std::filesystem;

void Say(const std::string& line) {
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

/// The state of one phase: what is saved and what a resume starts from.
struct Trainer {
  AdamW optimiser;
  WeightAverage average;
};

/// The peak rate of a pretrained tensor (recipe.proto, relative_encoder_rate).
double PretrainedRate(const v1::Optimisation& o, const torch::Tensor& value) {
  if (!o.relative_encoder_rate()) return o.encoder_rate();
  constexpr double kOfChannels = 0.3;
  const double size = value.detach().square().mean().sqrt().item<double>();
  return o.encoder_rate() * size * (value.dim() >= 2 ? 1.0 : kOfChannels);
}

/// Tails' ends start from the encoder and learn at its rate; everything else is new.
Trainer MakeTrainer(const MaskedMoeImpl& network, const v1::Optimisation& o, double head_rate,
                    double average_decay) {
  const auto rate = [&](const std::string& name, const torch::Tensor& value) {
    const bool pretrained =
        name.starts_with("encoder.") || name.find(".project.") != std::string::npos;
    return pretrained ? PretrainedRate(o, value) : head_rate;
  };
  AdamW optimiser(TrainedParameters(network, rate), o.weight_decay());
  WeightAverage average(optimiser.parameters(), average_decay);
  return {.optimiser = std::move(optimiser), .average = std::move(average)};
}

/// Whether `state` has every tensor of `wanted`, in its shape.
bool HasShapesOf(const Snapshot& state, const Snapshot& wanted) {
  return std::ranges::all_of(wanted, [&](const auto& item) {
    const auto found = state.find(item.first);
    return found != state.end() && found->second.sizes() == item.second.sizes();
  });
}

/// A run in progress: its phases share the pictures and the network.
class FitRun {
 public:
  FitRun(Run run, const FitOptions& options) : run_(std::move(run)), options_(options) {
    concept_of_ = ConceptOfClass(run_.recipe, run_.dataset.domains);
    const auto& o = run_.recipe.optimisation();
    first_trained_ = o.frozen_blocks();
    train_ = On(run_.sides, Side::kTrain);
    validation_ = On(run_.sides, Side::kValidation);
  }

  absl::Status Go() {
    ORCHARD_RETURN_IF_ERROR(LoadValidation());
    if (run_.recipe.optimisation().linear_heads()) {
      ORCHARD_RETURN_IF_ERROR(RenewHeads(WithLinearHeads(run_.recipe), /*number=*/0));
    }
    ORCHARD_RETURN_IF_ERROR(Begin());
    ORCHARD_RETURN_IF_ERROR(FineTune());
    return LastEpoch() < run_.recipe.optimisation().epochs() ? absl::OkStatus() : Refit();
  }

 private:
  /// Up to where the epochs begin: from a checkpoint, another run's network, or the import.
  absl::Status Begin() {
    ORCHARD_ASSIGN_OR_RETURN(const FeatureTable table, ChoosePictures());
    if (GoesOn()) {
      ORCHARD_ASSIGN_OR_RETURN(saved_, ReadSnapshot(run_.places.work / kCheckpoint));
      LoadNetwork(*run_.network, Under(saved_, "network."));
      return absl::OkStatus();
    }
    if (options_.start_from.empty()) return TrainHeads(table);
    return BeginWithAnotherRun();
  }

  /// Its whole network; where a head is another one there, its encoder alone.
  absl::Status BeginWithAnotherRun() {
    ORCHARD_ASSIGN_OR_RETURN(const Snapshot start, ReadSnapshot(options_.start_from / kFinal));
    if (HasShapesOf(start, NetworkState(*run_.network))) {
      LoadNetwork(*run_.network, start);
      return Save(/*epoch=*/0, nullptr);
    }
    Say("its heads are others: beginning with its encoder");
    LoadEncoder(start);
    run_.network->StartFrom(*run_.network->encoder);  // Tails begin as copies of its end.
    FeatureTable table;
    if (HeadsNeedFeatures()) {
      ORCHARD_ASSIGN_OR_RETURN(table, Encode());
    }
    return TrainHeads(table);
  }

  void LoadEncoder(const Snapshot& state) {
    const torch::NoGradGuard guard;
    for (auto& [name, tensor] : NetworkState(*run_.network)) {
      if (name.starts_with("encoder.")) tensor.copy_(state.at(name));
    }
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
    MeasureTails(table, run_.Labels(train_));
    if (o.head_epochs() > 0) {
      const HeadPhase phase{.title = "heads",
                            .epochs = o.head_epochs(),
                            .rate = o.head_epoch_rate() > 0.0 ? o.head_epoch_rate() : o.head_rate(),
                            .decay = o.weight_decay(),
                            .number = 30};
      ORCHARD_RETURN_IF_ERROR(HeadEpochs(phase, table, run_.Labels(train_)));
    }
    return Save(/*epoch=*/0, nullptr);
  }

  /// Whether TrainHeads has something to learn or to measure.
  bool HeadsNeedFeatures() const {
    if (run_.recipe.optimisation().head_epochs() > 0) return true;
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
      run_.network->MeasureStatistics(g, table.Rows(index).map);
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
    v1::Optimisation heads = run_.recipe.optimisation();
    heads.set_weight_decay(phase.decay);
    Trainer trainer = MakeTrainer(network, heads, phase.rate, /*average_decay=*/0.0);
    HeadTask task(network, table, labels, run_.recipe,
                  {.phase = phase.number, .tails_as_linear = phase.tails_as_linear});
    const Schedule schedule{.steps = phase.epochs * task.steps(), .warmup = task.steps() / 2};
    ORCHARD_RETURN_IF_ERROR(RunLoop(task, trainer.optimiser, trainer.average,
                                    {.title = phase.title,
                                     .epochs = phase.epochs,
                                     .schedule = schedule,
                                     .gradient_norm = heads.gradient_norm(),
                                     .seed = Mix(run_.recipe.seed(), phase.number)},
                                    [](size_t, double) { return absl::OkStatus(); }));
    return Validate(phase.title + " trained");
  }

  /// New heads on what the averaged encoder makes of the served view.
  absl::Status Refit() {
    const v1::Optimisation& o = run_.recipe.optimisation();
    ORCHARD_ASSIGN_OR_RETURN(const Snapshot saved, ReadSnapshot(run_.places.work / kCheckpoint));
    LoadNetwork(*run_.network, AveragedState(saved));
    if (o.start_share() > 0.0) ORCHARD_RETURN_IF_ERROR(MixWithStart(o.start_share()));
    if (o.refit_epochs() > 0) ORCHARD_RETURN_IF_ERROR(RefitHeads());
    return WriteSnapshot(run_.places.work / kFinal, NetworkState(*run_.network));
  }

  /// encoder ← (1 - share) · encoder + share · the encoder that the run began with. Source:
  /// Wortsman et al. 2022 (arXiv:2203.05482).
  absl::Status MixWithStart(double share) {
    ORCHARD_ASSIGN_OR_RETURN(const Snapshot start, ReadSnapshot(options_.start_from / kFinal));
    const torch::NoGradGuard guard;
    for (auto& item : run_.network->encoder->named_parameters()) {
      item.value().lerp_(start.at("encoder." + item.key()), share);
    }
    return absl::OkStatus();
  }

  absl::Status RefitHeads() {
    const v1::Optimisation& o = run_.recipe.optimisation();
    ORCHARD_RETURN_IF_ERROR(RenewHeads(run_.recipe, /*number=*/80));
    ORCHARD_ASSIGN_OR_RETURN(const FeatureTable table, Encode());
    const std::vector<Label> labels = run_.Labels(train_);
    MeasureTails(table, labels);
    HeadPhase phase{.title = "refit",
                    .epochs = o.refit_epochs(),
                    .rate = o.refit_rate() > 0.0 ? o.refit_rate() : o.head_rate(),
                    .decay = o.refit_decay() > 0.0 ? o.refit_decay() : o.weight_decay(),
                    .number = 70,
                    .tails_as_linear = true};
    ORCHARD_RETURN_IF_ERROR(HeadEpochs(phase, table, labels));
    if (o.tail_epochs() == 0) return absl::OkStatus();
    phase.title = "tails";
    phase.epochs = o.tail_epochs();
    if (o.tail_rate() > 0.0) phase.rate = o.tail_rate();
    phase.number = 71;
    phase.tails_as_linear = false;
    return HeadEpochs(phase, table, labels);
  }

  /// Fresh gates and experts of `recipe`; tails start from the encoder as it is now. `number` makes
  /// their random numbers their own.
  absl::Status RenewHeads(const v1::Recipe& recipe, std::uint64_t number) {
    torch::manual_seed(Mix(run_.recipe.seed(), number));
    ORCHARD_ASSIGN_OR_RETURN(const auto fresh, MaskedMoeImpl::Make(recipe, run_.dataset.domains));
    fresh->StartFrom(*run_.network->encoder);
    run_.network = fresh;
    return absl::OkStatus();
  }

  absl::Status FineTune() {
    const v1::Optimisation& o = run_.recipe.optimisation();
    MaskedMoeImpl& network = *run_.network;
    network.encoder->PrepareFineTuning(first_trained_);
    Trainer trainer = MakeTrainer(network, o, o.head_rate(), o.average_decay());
    size_t first = 0;
    if (const auto epoch = saved_.find("epoch"); epoch != saved_.end()) {
      first = static_cast<size_t>(epoch->second.item<int64_t>());
    }
    if (first >= LastEpoch()) return absl::OkStatus();
    if (first > 0) {
      trainer.optimiser.Load(Under(saved_, "optimiser."));
      trainer.average.Load(Under(saved_, "average."));
      Say(absl::StrCat("going on after epoch ", first));
    }
    saved_.clear();
    Say(absl::StrCat("loading ", train_.size(), " training pictures"));
    ORCHARD_ASSIGN_OR_RETURN(const PictureStore store,
                             PictureStore::Load(run_.Files(train_), run_.places.threads));
    FineTuneTask task(network, store, run_.Labels(train_), run_.recipe, EncoderOptions());
    const auto warmup =
        static_cast<size_t>(o.warmup_epochs() * static_cast<double>(task.steps()) + 0.5);
    return RunLoop(task, trainer.optimiser, trainer.average,
                   {.title = "epoch",
                    .first_epoch = first,
                    .epochs = LastEpoch(),
                    .schedule = {.steps = o.epochs() * task.steps(),
                                 .warmup = warmup,
                                 .final_factor = o.final_factor()},
                    .gradient_norm = o.gradient_norm(),
                    .seed = Mix(run_.recipe.seed(), /*a=*/20)},
                   [&](size_t epoch, double loss) -> absl::Status {
                     {
                       const Averaged averaged(trainer.average);
                       ORCHARD_RETURN_IF_ERROR(Validate(
                           absl::StrFormat("epoch %d of %d, loss %.4f", epoch, o.epochs(), loss)));
                     }
                     return Save(epoch, &trainer);
                   });
  }

  absl::Status Validate(const std::string& what) {
    if (validation_.empty()) return absl::OkStatus();
    ShardedEncoder encoder(run_.network->encoder, PreprocessingOf(run_.recipe), EncoderOptions());
    const nets::EncoderFeatures features = encoder.Encode(validation_pixels_);
    const Logits logits = Evaluate(
        *run_.network, {.map = features.map.to(torch::kFloat16), .pooled = features.pooled});
    const Accuracy accuracy =
        Measure(*run_.network, logits, run_.Labels(validation_), Temperatures{}, concept_of_);
    Say(absl::StrCat(what, ": ", ToText(accuracy, run_.dataset.domains)));
    return absl::OkStatus();
  }

  /// `trainer` is null before the first epoch.
  absl::Status Save(size_t epoch, const Trainer* trainer) const {
    Snapshot snapshot;
    snapshot["epoch"] = torch::tensor({static_cast<int64_t>(epoch)}, torch::kLong);
    AddTo(snapshot, "network.", NetworkState(*run_.network));
    if (trainer != nullptr) {
      AddTo(snapshot, "optimiser.", trainer->optimiser.State());
      AddTo(snapshot, "average.", trainer->average.State());
    }
    return WriteSnapshot(run_.places.work / kCheckpoint, snapshot);
  }

  Run run_;
  FitOptions options_;
  std::vector<size_t> concept_of_;
  int64_t first_trained_ = 0;
  std::vector<size_t> train_, validation_;
  torch::Tensor validation_pixels_;  // uint8 [V, 224, 224, 3]
  Snapshot saved_;                   // of the checkpoint to go on from; empty: from the start
};

std::string TextOf(const v1::Recipe& recipe) {
  std::string text;
  google::protobuf::TextFormat::PrintToString(recipe, &text);
  return text;
}

/// Refuses to overwrite a run, and to go on with another recipe than it began with.
absl::Status CheckWorkFolder(const v1::Recipe& recipe, const fs::path& work, bool resume) {
  if (!fs::exists(work / kCheckpoint)) return absl::OkStatus();
  if (!resume) {
    return absl::FailedPreconditionError(absl::StrCat(
        (work / kCheckpoint).string(), " is there; give --resume to go on, or another --work"));
  }
  ORCHARD_ASSIGN_OR_RETURN(const std::string before, core::ReadFile(work / kRecipe));
  if (before == TextOf(recipe)) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat((work / kRecipe).string(), " is another recipe than the one to go on with"));
}

/// What the run begins with is read again in the end, hours later: better found missing now.
absl::Status CheckStart(const v1::Recipe& recipe, const fs::path& start_from) {
  if (start_from.empty()) {
    const double share = recipe.optimisation().start_share();
    if (share == 0.0) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat(
        "optimisation.start_share is ", share,
        ": say with --start-from (also with --resume) what the run begins with, or set it to 0"));
  }
  for (const char* name : {kFinal, kRecipe}) {
    if (fs::exists(start_from / name)) continue;
    return absl::NotFoundError(absl::StrCat((start_from / name).string(),
                                            " is not there; --start-from wants the work folder of "
                                            "a finished run"));
  }
  return absl::OkStatus();
}

absl::Status WriteSplit(const Run& run) {
  constexpr std::array<const char*, 3> kNames = {"train", "validation", "test"};
  std::string text = "side\tdomain\tclass\tfile\tgroup\n";
  for (size_t i = 0; i < run.sides.size(); ++i) {
    const Picture& picture = run.dataset.pictures[i];
    const DomainClasses& domain = run.dataset.domains[picture.label.domain];
    absl::StrAppend(&text, kNames[static_cast<size_t>(run.sides[i])], "\t", domain.name, "\t",
                    domain.classes[picture.label.label], "\t", picture.path.filename().string(),
                    "\t", picture.group, "\n");
  }
  return core::WriteFile(run.places.work / kSplit, text);
}

}  // namespace

absl::Status Fit(const v1::Recipe& recipe, const RunPlaces& places, const FitOptions& options) {
  ORCHARD_RETURN_IF_ERROR(CheckStart(recipe, options.start_from));
  fs::create_directories(places.work);
  ORCHARD_RETURN_IF_ERROR(CheckWorkFolder(recipe, places.work, options.resume));
  ORCHARD_ASSIGN_OR_RETURN(Run run, PrepareRun(recipe, places));
  ORCHARD_RETURN_IF_ERROR(core::WriteFile(places.work / kRecipe, TextOf(recipe)));
  if (!options.start_from.empty()) {
    ORCHARD_ASSIGN_OR_RETURN(const std::string start, core::ReadFile(options.start_from / kRecipe));
    ORCHARD_RETURN_IF_ERROR(core::WriteFile(places.work / kStartRecipe, start));
  }
  ORCHARD_RETURN_IF_ERROR(WriteSplit(run));
  for (const std::string& group : run.dataset.dropped) Say("two labels, left out: " + group);
  Say(absl::StrCat(run.dataset.domains.size(), " domains, ", TotalClasses(run.dataset.domains),
                   " classes, ", On(run.sides, Side::kTrain).size(), " pictures to train on, ",
                   On(run.sides, Side::kValidation).size(), " to validate, ",
                   On(run.sides, Side::kTest).size(), " to test"));
  return FitRun(std::move(run), options).Go();
}

}  // namespace orchard::training
