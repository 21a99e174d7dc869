// The loop and what happens beside its steps, with a small network that it knows nothing of.
#include "training/loop/loop.h"

#include <array>
#include <cmath>
#include <limits>
#include <map>

#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "core/text.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "training/log/record_epochs.h"
#include "training/loop/callbacks.h"
#include "training/loop/classifier.h"
#include "training/loop/device.h"

namespace orchard::training {
namespace {

using ::orchard::testing::IsOk;
using ::orchard::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr size_t kSteps = 6;
constexpr int64_t kRows = 8;

/// Points of two classes, drawn by epoch and step alone.
class Points final : public Task {
 public:
  size_t steps() const override { return kSteps; }
  size_t batch() const override { return kRows; }
  void BeginEpoch(size_t epoch) override {
    epoch_ = epoch;
    step_ = 0;
  }
  Batch Next() override {
    torch::manual_seed(Mix(7, epoch_, step_));
    Batch batch;
    batch.features = {torch::randn({kRows, 4})};
    for (int64_t i = 0; i < kRows; ++i) {
      const bool positive = batch.features[0][i].sum().item<float>() > 0.0F;
      batch.labels.push_back({.domain = 0, .label = positive ? size_t{1} : size_t{0}});
    }
    if (epoch_ * kSteps + step_++ == poisoned) batch.features[0].fill_(poison);
    return batch;
  }

  size_t poisoned = std::numeric_limits<size_t>::max();  ///< a step of the whole loop
  float poison = std::numeric_limits<float>::quiet_NaN();

 private:
  size_t epoch_ = 0, step_ = 0;
};

/// With statistics that are learned and with dropout: more state than the Masked-MoE has.
struct Net final : torch::nn::Module {
  Net() {
    torch::manual_seed(3);
    in = register_module("in", torch::nn::Linear(4, 16));
    norm = register_module("norm", torch::nn::BatchNorm1d(16));
    dropout = register_module("dropout", torch::nn::Dropout(0.2));
    out = register_module("out", torch::nn::Linear(16, 2));
  }
  torch::Tensor forward(const torch::Tensor& x) { return out(dropout(torch::relu(norm(in(x))))); }
  torch::nn::Linear in{nullptr}, out{nullptr};
  torch::nn::BatchNorm1d norm{nullptr};
  torch::nn::Dropout dropout{nullptr};
};

/// A network with everything that trains it.
struct Trainer {
  explicit Trainer(const std::filesystem::path& file = {}, size_t patience = 0)
      : early(patience),
        checkpoint({.file = file,
                    .module = &net,
                    .optimiser = &optimiser,
                    .average = &average,
                    .others = {&early}}) {}

  absl::Status Run(Task& task, std::vector<Callback*> callbacks, LoopOptions options) {
    options.seed = 11;
    return RunLoop(task, model, optimiser, callbacks, options);
  }

  Net net;
  Classifier model{net, [this](const torch::Tensor& x) { return net.forward(x); }, {.rate = 0.01}};
  AdamW optimiser{model.Parameters(), 0.01};
  WeightAverage average{optimiser.parameters(), 0.9};
  Averaging averaging{average};
  EarlyStop early;
  Checkpointing checkpoint;
};

/// Writes down what it is called for.
class Diary final : public Callback {
 public:
  void AfterStep(LoopState& state) override {
    ++steps;
    last = state;
  }
  absl::Status AfterEpoch(LoopState& state) override {
    ++epochs;
    last = state;
    return absl::OkStatus();
  }
  size_t steps = 0, epochs = 0;
  LoopState last;
};

class LoopTest : public ::testing::Test {
 protected:
  void SetUp() override { at::set_num_threads(1); }
};

TEST(LossTermsTest, AreAWeightedSumOverADivisor) {
  LossTerms terms(4.0);
  terms.Add("a", 2.0, torch::tensor(3.0));
  terms.Add("nothing", 1.0, {});
  terms.Add("b", 0.5, torch::tensor(8.0));
  EXPECT_DOUBLE_EQ(terms.Total().item<double>(), (2.0 * 3.0 + 0.5 * 8.0) / 4.0);
  EXPECT_THAT(terms.Values(), ElementsAre(std::pair<std::string, double>("a", 0.75),
                                          std::pair<std::string, double>("b", 2.0)));
}

TEST_F(LoopTest, LearnsAndTellsItsCallbacks) {
  Points task;
  Trainer trainer;
  Diary diary;
  std::vector<double> losses;
  ASSERT_THAT(trainer.Run(task, {&diary}, {.title = "epoch", .epochs = 1}), IsOk());
  const double first = diary.last.mean_loss;
  ASSERT_THAT(trainer.Run(task, {&diary}, {.title = "epoch", .first_epoch = 1, .epochs = 20}),
              IsOk());
  EXPECT_EQ(diary.steps, 20 * kSteps);
  EXPECT_EQ(diary.epochs, 20U);
  EXPECT_LT(diary.last.mean_loss, 0.7 * first);
  ASSERT_EQ(diary.last.terms.size(), 1U);
  EXPECT_EQ(diary.last.terms[0].first, "cross_entropy");
  EXPECT_NEAR(diary.last.terms[0].second, diary.last.mean_loss, 1e-9);
}

TEST_F(LoopTest, ALossThatIsNotFiniteEndsItBeforeAnyWeightMoves) {
  Points task;
  task.poisoned = kSteps + 2;
  Trainer trainer;
  Diary diary;
  ASSERT_THAT(trainer.Run(task, {}, {.title = "epoch", .epochs = 1}), IsOk());
  EXPECT_THAT(trainer.Run(task, {&diary}, {.title = "epoch", .first_epoch = 1, .epochs = 3}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("epoch 2 of 3, step 3 of 6: the loss is nan"),
                             HasSubstr("terms: cross_entropy nan"), HasSubstr("is kept"))));
  EXPECT_EQ(diary.steps, 2U);
  EXPECT_EQ(diary.epochs, 0U);
  for (const torch::Tensor& parameter : trainer.net.parameters()) {
    EXPECT_TRUE(parameter.isfinite().all().item<bool>());
  }
}

TEST_F(LoopTest, SoDoesANormOfTheGradientsThatIsNotFinite) {
  Points task;
  Trainer trainer;
  // A loss of finite value whose slope is not: the square root of nothing.
  Classifier model(trainer.net,
                   [&](const torch::Tensor& x) {
                     const torch::Tensor logits = trainer.net.forward(x);
                     return logits + (logits.sum() * 0.0).abs().sqrt();
                   },
                   {});
  const std::vector<Callback*> none;
  for (const double clip_at : {0.0, 1.0}) {
    EXPECT_THAT(RunLoop(task, model, trainer.optimiser, none,
                        {.title = "epoch", .epochs = 1, .gradient_norm = clip_at}),
                StatusIs(absl::StatusCode::kFailedPrecondition,
                         HasSubstr("step 1 of 6: the norm of the gradients is nan")));
  }
}

TEST_F(LoopTest, WhatABatchThrowsIsAnErrorAndNotTheEnd) {
  Points task;
  Trainer trainer;
  Classifier wrong(trainer.net,
                   [&](const torch::Tensor& x) { return trainer.net.forward(x.narrow(1, 0, 3)); },
                   {});
  const std::vector<Callback*> none;
  EXPECT_THAT(RunLoop(task, wrong, trainer.optimiser, none, {.epochs = 1}),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("training: ")));
}

TEST_F(LoopTest, GoingOnFromACheckpointGivesTheSameBitsAsNeverHavingStopped) {
  const testing::TempDir dir;
  const auto run = [&](const std::string& name, size_t first, size_t epochs) {
    Points task;
    Trainer trainer(dir / name);
    if (first > 0) {
      const auto saved = ReadSnapshot(dir / name);
      EXPECT_THAT(saved, IsOk());
      EXPECT_THAT(LoadModule(trainer.net, Under(*saved, "network.")), IsOk());
      const auto done = trainer.checkpoint.Restore(*saved);
      EXPECT_THAT(done, IsOk());
      EXPECT_EQ(*done, first);
    }
    EXPECT_THAT(trainer.Run(task, {&trainer.averaging, &trainer.early, &trainer.checkpoint},
                            {.first_epoch = first, .epochs = epochs}),
                IsOk());
  };
  run("whole", 0, 4);
  run("pieces", 0, 1);
  run("pieces", 1, 3);
  run("pieces", 3, 4);
  EXPECT_EQ(*core::ReadFile(dir / "whole"), *core::ReadFile(dir / "pieces"));
  const auto saved = ReadSnapshot(dir / "whole");
  ASSERT_THAT(saved, IsOk());
  for (const char* name : {"network.norm.running_mean", "average.in.weight",
                           "optimiser.first.out.bias", "callback.0.worse"}) {
    EXPECT_TRUE(saved->contains(name)) << name;
  }
}

TEST_F(LoopTest, ACheckpointIsNeverWrittenOverByWhatCannotBeRead) {
  const testing::TempDir dir;
  Trainer trainer(dir / "file");
  ASSERT_THAT(trainer.checkpoint.Save(1), IsOk());
  const auto before = core::ReadFile(dir / "file");
  const torch::NoGradGuard guard;
  trainer.net.out->bias[1] = std::numeric_limits<float>::infinity();
  EXPECT_THAT(trainer.checkpoint.Save(2),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("file: not written"), HasSubstr("\"network.out.bias\""))));
  EXPECT_EQ(*core::ReadFile(dir / "file"), *before);
}

TEST_F(LoopTest, ACheckpointOfAnotherNetworkIsRefusedByName) {
  const testing::TempDir dir;
  Trainer trainer(dir / "file");
  ASSERT_THAT(trainer.checkpoint.Save(1), IsOk());
  auto saved = *ReadSnapshot(dir / "file");
  saved.erase("network.in.weight");
  saved["network.out.bias"] = torch::zeros({3});
  EXPECT_THAT(LoadModule(trainer.net, Under(saved, "network.")),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("\"in.weight\" is missing"),
                             HasSubstr("\"out.bias\" has shape [3], must be [2]"))));
  saved.erase("optimiser.first.in.bias");
  EXPECT_THAT(trainer.checkpoint.Restore(saved),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("\"first.in.bias\"")));
  EXPECT_THAT(trainer.checkpoint.Restore({}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("no checkpoint")));
}

TEST_F(LoopTest, AccumulatedBatchesAreOneStepOfTheirMean) {
  Points task;
  Trainer pieces, whole;
  for (Trainer* trainer : {&pieces, &whole}) {
    trainer->net.dropout->options.p(0.0);
    trainer->net.norm->eval();
  }
  Diary diary;
  // Without TrainMode's effect on the norm: its statistics would be those of a batch.
  Classifier in_pieces(pieces.net,
                       [&](const torch::Tensor& x) {
                         pieces.net.norm->eval();
                         return pieces.net.forward(x);
                       },
                       {.rate = 0.01});
  std::vector<Callback*> callbacks = {&diary};
  ASSERT_THAT(
      RunLoop(task, in_pieces, pieces.optimiser, callbacks, {.epochs = 1, .accumulate = kSteps}),
      IsOk());
  EXPECT_EQ(diary.steps, 1U);
  EXPECT_EQ(diary.last.pictures, kSteps * kRows);
  task.BeginEpoch(0);
  Batch all;
  std::vector<torch::Tensor> rows;
  for (size_t i = 0; i < kSteps; ++i) {
    const Batch batch = task.Next();
    rows.push_back(batch.features[0]);
    all.labels.insert(all.labels.end(), batch.labels.begin(), batch.labels.end());
  }
  all.features = {torch::cat(rows)};
  whole.net.norm->eval();
  const auto loss = whole.model.Loss(all);
  ASSERT_THAT(loss, IsOk());
  loss->Total().backward();
  whole.optimiser.Step(1.0);
  EXPECT_TRUE(torch::allclose(whole.net.in->weight, pieces.net.in->weight, 1e-4, 1e-5));
}

TEST_F(LoopTest, ValidatesWhenItShallAndStopsWhenNothingGetsBetter) {
  Points task;
  Trainer trainer({}, /*patience=*/2);
  std::vector<size_t> measured;
  const std::map<size_t, double> value = {{3, 0.5}, {5, 0.7}, {7, 0.6}, {9, 0.7}, {11, 0.9}};
  Validation validation({.every = 2, .after = 1, .last = 20}, &trainer.average,
                        [&](const LoopState& state) -> absl::StatusOr<std::optional<double>> {
                          measured.push_back(state.epoch + 1);
                          return value.at(state.epoch + 1);
                        });
  Diary diary;
  ASSERT_THAT(
      trainer.Run(task, {&trainer.averaging, &validation, &trainer.early, &diary}, {.epochs = 20}),
      IsOk());
  EXPECT_THAT(measured, ElementsAre(3, 5, 7, 9));  // Neither .6 nor .7 is better than .7.
  EXPECT_EQ(diary.epochs, 9U);
  EXPECT_TRUE(trainer.early.stopped());
}

TEST_F(LoopTest, ARunLogHasEveryEpoch) {
  class Log final : public RunLog {
   public:
    void Epoch(const EpochRecord& record) override { records.push_back(record); }
    std::vector<EpochRecord> records;
  };
  Log log;
  RecordEpochs record(log);
  FollowSchedule schedule({.steps = 2 * kSteps, .warmup = 2});
  Validation validation({.every = 2}, nullptr,
                        [](const LoopState&) { return std::optional<double>(0.25); });
  Points task;
  Trainer trainer;
  ASSERT_THAT(trainer.Run(task, {&schedule, &validation, &record},
                          {.title = "epoch", .epochs = 2, .gradient_norm = 100.0}),
              IsOk());
  ASSERT_EQ(log.records.size(), 2U);
  EXPECT_FALSE(log.records[0].validated);
  EXPECT_TRUE(log.records[1].validated);
  EXPECT_EQ(log.records[1].validation, 0.25);
  EXPECT_EQ(log.records[1].epoch, 2U);
  EXPECT_EQ(log.records[1].terms[0].first, "cross_entropy");
  EXPECT_LT(log.records[1].rate_factor, log.records[0].rate_factor);
  EXPECT_GT(log.records[0].gradient_norm, 0.0);
}

TEST_F(LoopTest, Bf16RoundsProductsAndKeepsWeightsInFp32) {
  Points task;
  Trainer exact, rounded;
  ASSERT_THAT(exact.Run(task, {}, {.epochs = 2}), IsOk());
  ASSERT_THAT(rounded.Run(task, {}, {.epochs = 2, .arithmetic = Arithmetic::kBf16}), IsOk());
  EXPECT_EQ(rounded.net.in->weight.scalar_type(), torch::kFloat32);
  EXPECT_FALSE(torch::equal(exact.net.in->weight, rounded.net.in->weight));
  EXPECT_TRUE(torch::allclose(exact.net.in->weight, rounded.net.in->weight, 0.0, 0.1));
}

TEST(ClassifierTest, HardSoftAndWeightedTargetsAreOneLoss) {
  torch::manual_seed(5);
  torch::nn::Linear layer(4, 3);
  Classifier model(*layer, [&](const torch::Tensor& x) { return layer(x); }, {});
  Batch hard;
  hard.features = {torch::randn({3, 4})};
  hard.labels = {{0, 2}, {0, 0}, {0, 1}};
  Batch soft = hard;
  soft.labels.clear();
  soft.targets = torch::tensor({{0.F, 0.F, 1.F}, {1.F, 0.F, 0.F}, {0.F, 1.F, 0.F}});
  const auto loss = [&](const Batch& batch) { return model.Loss(batch)->Total().item<double>(); };
  EXPECT_NEAR(loss(hard), loss(soft), 1e-7);
  const torch::Tensor index = torch::tensor({2, 0, 1}, torch::kLong);
  EXPECT_NEAR(loss(hard),
              torch::nn::functional::cross_entropy(layer(hard.features[0]), index).item<double>(),
              1e-6);
  // A weight of 0 leaves a picture out.
  Batch without = hard, two = hard;
  without.weights = torch::tensor({1.F, 1.F, 0.F});
  two.features[0] = hard.features[0].narrow(0, 0, 2);
  two.labels.pop_back();
  EXPECT_NEAR(loss(without), loss(two), 1e-6);
  hard.labels[0].label = 3;
  EXPECT_THAT(model.Loss(hard).status(), StatusIs(absl::StatusCode::kInvalidArgument,
                                                  HasSubstr("a label is 3, the network has 3")));
}

// models.md section 10, check 12, LibTorch's form.
TEST(ClassifierTest, SmoothsLabels) {
  torch::nn::Module none;
  Classifier model(none, [](const torch::Tensor& x) { return x; }, {.label_smoothing = 0.1});
  Batch batch;
  batch.features = {torch::tensor({{2.F, 1.F, 0.F, -1.F}})};
  batch.labels = {{0, 0}};
  EXPECT_NEAR(model.Loss(batch)->Total().item<double>(), 0.590190, 1e-6);
}

TEST(ClassifierTest, DecaysWhatIsNotExempt) {
  Net net;
  Classifier model(net, [&](const torch::Tensor& x) { return net.forward(x); },
                   {.undecayed = {"out."}});
  std::map<std::string, bool> decays;
  for (const TrainedParameter& parameter : model.Parameters()) {
    decays[parameter.name] = parameter.decays;
  }
  EXPECT_TRUE(decays["in.weight"]);
  EXPECT_FALSE(decays["in.bias"]);
  EXPECT_FALSE(decays["out.weight"]);
}

TEST(ParseDeviceTest, KnowsTheCpuAndSaysWhyThereIsNoGpu) {
  EXPECT_EQ(*ParseDevice("cpu"), torch::Device(torch::kCPU));
  for (const char* wrong : {"", "gpu", "cuda:", "cuda:-1", "cuda:x", "cpu:0", "cuda:1000"}) {
    EXPECT_THAT(ParseDevice(wrong),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("known: cpu, cuda, cuda:N")))
        << wrong;
  }
  if (torch::cuda::is_available()) GTEST_SKIP() << "there is a GPU";
  EXPECT_THAT(ParseDevice("cuda:1"), StatusIs(absl::StatusCode::kFailedPrecondition,
                                              HasSubstr("this LibTorch has no CUDA")));
}

}  // namespace
}  // namespace orchard::training
