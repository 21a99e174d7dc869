// What happens beside the steps, each thing by itself: no network learns here.
#include "training/loop/callbacks.h"

#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "core/text.h"
#include "model/torch_state.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "training/log/history.h"
#include "training/loop/classifier.h"

namespace orchard::training {
namespace {

using ::orchard::testing::IsOk;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

// One arithmetic whichever way tensors are gone over, so that a GPU's way is held by a CPU's bits.
TEST(AdamWTest, TogetherItTakesTheSameStepsToTheLastBit) {
  const auto run = [](StepWay way) {
    torch::manual_seed(4);
    torch::nn::Sequential net(torch::nn::Linear(5, 7), torch::nn::Linear(7, 3),
                              torch::nn::Linear(3, 2));
    std::vector<TrainedParameter> parameters =
        TrainedParameters(*net, [](const std::string& name, const torch::Tensor&) {
          return name.starts_with("1") ? 0.01 : 0.03;
        });
    AdamW optimiser(parameters, /*weight_decay=*/0.1, way);
    WeightAverage average(parameters, /*decay=*/0.9, way);
    for (int step = 0; step < 6; ++step) {
      const torch::Tensor x = torch::randn({8, 5});
      // Every second step the last layer has no gradient.
      torch::Tensor y = net->ptr(0)->as<torch::nn::Linear>()->forward(x);
      y = net->ptr(1)->as<torch::nn::Linear>()->forward(y.tanh());
      if (step % 2 == 0) y = net->ptr(2)->as<torch::nn::Linear>()->forward(y);
      y.square().sum().backward();
      optimiser.ClipGradients(0.5);
      optimiser.Step(1.0 / (step + 1));
      average.Update();
    }
    Snapshot state;
    AddTo(state, "network.", StateOfModule(*net));
    AddTo(state, "optimiser.", optimiser.State());
    AddTo(state, "average.", average.State());
    for (auto& [name, tensor] : state) tensor = tensor.detach().clone();
    return state;
  };
  const Snapshot each = run(StepWay::kEach), together = run(StepWay::kTogether);
  ASSERT_EQ(each.size(), together.size());
  for (const auto& [name, tensor] : each) {
    if (name.starts_with("average.") && name != "average.steps") {
      EXPECT_TRUE(torch::allclose(tensor, together.at(name), 1e-6, 1e-7)) << name;
    } else {
      EXPECT_TRUE(torch::equal(tensor, together.at(name))) << name;
    }
  }
}

LoopState After(size_t epoch, size_t epochs) {
  LoopState state;
  state.title = "epoch";
  state.epoch = epoch - 1;
  state.epochs = epochs;
  state.steps = 4;
  state.pictures = 8;
  return state;
}

TEST(TimeLimitTest, StopsWithTheLastEpochThatFits) {
  double now = 5.0;  // Reading pictures took it.
  TimeLimit limit(/*seconds=*/30.0, [&] { return now; });
  LoopState state = After(1, 100);
  ASSERT_THAT(limit.BeginEpoch(state), IsOk());
  size_t ended = 0;
  for (size_t epoch = 1; epoch <= 20 && ended == 0; ++epoch) {
    state = After(epoch, 100);
    now += 6.0;
    ASSERT_THAT(limit.AfterEpoch(state), IsOk());
    if (state.stop) ended = epoch;
  }
  EXPECT_EQ(ended, 4U);  // 5 + 4 · 6 = 29; a fifth would end at 35.
  EXPECT_TRUE(limit.reached());
}

TEST(TimeLimitTest, DoesNotStopWhatIsDoneAnyway) {
  double now = 0.0;
  TimeLimit limit(/*seconds=*/1.0, [&] { return now; });
  LoopState state = After(3, 3);
  now = 10.0;
  ASSERT_THAT(limit.AfterEpoch(state), IsOk());
  EXPECT_FALSE(limit.reached());
  TimeLimit none(/*seconds=*/0.0, [&] { return now; });
  state = After(1, 3);
  ASSERT_THAT(none.AfterEpoch(state), IsOk());
  EXPECT_FALSE(state.stop);
}

TEST(KeepBestTest, KeepsTheAverageOfTheBestValidationAndGoesOnWithIt) {
  const testing::TempDir dir;
  torch::nn::Linear layer(2, 2);
  std::vector<TrainedParameter> parameters = {{"weight", layer->weight, 0.1}};
  WeightAverage average(parameters, 0.5);
  const auto epoch = [&](KeepBest& best, size_t number, double value, double validation) {
    {
      const torch::NoGradGuard guard;
      layer->weight.fill_(value);
      average
          .Load({{"weight", torch::full({2, 2}, value + 0.5)},
                 {"steps", torch::tensor({int64_t{1}}, torch::kLong)}})
          .IgnoreError();
    }
    LoopState state = After(number, 9);
    state.validated = true;
    state.validation = validation;
    EXPECT_THAT(best.AfterEpoch(state), IsOk());
    EXPECT_EQ(layer->weight[0][0].item<double>(), value);  // Swapped back.
    return model::ReadSafetensors(dir / "best")->at("weight").Floats().front();
  };
  KeepBest best(dir / "best", *layer, &average);
  EXPECT_EQ(epoch(best, 1, 1.0, 0.0), 1.5F);  // Even nothing is the best at first.
  EXPECT_EQ(epoch(best, 2, 2.0, 0.7), 2.5F);
  EXPECT_EQ(epoch(best, 3, 3.0, 0.6), 2.5F);
  KeepBest resumed(dir / "best", *layer, &average);
  ASSERT_THAT(resumed.Load(best.State()), IsOk());
  EXPECT_EQ(epoch(resumed, 4, 4.0, 0.6), 2.5F);
  EXPECT_EQ(resumed.epoch(), 2U);
  EXPECT_EQ(epoch(resumed, 5, 5.0, 0.7), 5.5F);  // As good, and averaged over more steps.
}

TEST(CheckpointingTest, SavesEverySoOftenAndAlwaysAtTheEnd) {
  const testing::TempDir dir;
  torch::nn::Linear layer(2, 2);
  Checkpointing checkpoint({.file = dir / "file", .module = layer.get(), .every = 3});
  const auto saved = [&](size_t epoch, bool stop) {
    std::filesystem::remove(dir / "file");
    LoopState state = After(epoch, 10);
    state.stop = stop;
    EXPECT_THAT(checkpoint.AfterEpoch(state), IsOk());
    return std::filesystem::exists(dir / "file");
  };
  EXPECT_FALSE(saved(1, false));
  EXPECT_TRUE(saved(3, false));
  EXPECT_FALSE(saved(4, false));
  EXPECT_TRUE(saved(4, true));
  EXPECT_TRUE(saved(10, false));
}

TEST(EpochLineTest, SaysWhatAnEpochGave) {
  LoopState state = After(3, 20);
  state.mean_loss = 1.25;
  state.terms = {{"cross_entropy", 1.2}, {"balance", 1.01}};
  state.rate_factor = 0.5;
  state.seconds = 2.0;
  EXPECT_THAT(EpochLine(state),
              AllOf(HasSubstr("epoch 3/20  loss 1.2500 (cross_entropy 1.2000, balance 1.0100)"),
                    HasSubstr("16 pictures/s  2.0 s"), Not(HasSubstr("validation"))));
  state.validated = true;
  state.validation = 0.75;
  state.measures = {{"nll", 0.9}};
  EXPECT_THAT(EpochLine(state), HasSubstr("validation 0.7500, nll 0.9000"));
}

TEST(HistoryTest, GoesOnWhereTheCheckpointIsAndNotWhereTheKillWas) {
  const testing::TempDir dir;
  const auto record = [](size_t epoch) {
    return EpochRecord{.phase = "epoch",
                       .epoch = epoch,
                       .loss = 0.5,
                       .terms = {{"cross_entropy", 0.5}},
                       .validated = epoch == 2,
                       .validation = 0.25,
                       .measures = {{"nll", 1.5}},
                       .expert_load = {{0.25, 0.75}}};
  };
  auto first = History::Open(dir / "history", 0);
  ASSERT_THAT(first, IsOk());
  for (const size_t epoch : {1, 2, 3}) first->Epoch(record(epoch));
  // The checkpoint is of epoch 2; the kill came while epoch 4 was written down.
  const std::string whole = *core::ReadFile(dir / "history");
  ASSERT_THAT(core::WriteFile(dir / "history", whole + "{\"phase\": \"epo"), IsOk());
  auto second = History::Open(dir / "history", 2);
  ASSERT_THAT(second, IsOk());
  second->Epoch(record(3));
  EXPECT_EQ(*core::ReadFile(dir / "history"), whole);
  EXPECT_THAT(ToJsonLine(record(2)),
              AllOf(HasSubstr(R"("validation":0.25)"), HasSubstr(R"("nll":1.5)"),
                    HasSubstr(R"("expert_load":[[0.25,0.75]])")));
  EXPECT_THAT(ToJsonLine(record(1)), Not(HasSubstr("validation")));
  // A new run begins a new history.
  ASSERT_THAT(History::Open(dir / "history", 0), IsOk());
  EXPECT_EQ(*core::ReadFile(dir / "history"), "");
}

// models.md section 10, check 12, in the source's form, and for mixed pictures.
TEST(ClassifierTest, SmoothsLabelsInBothForms) {
  torch::nn::Module none;
  const auto loss = [&](nets::Smoothing form, const torch::Tensor& targets) {
    Classifier model(none, [](const torch::Tensor& x) { return x; },
                     {.label_smoothing = 0.1, .smoothing = form});
    Batch batch;
    batch.features = {torch::tensor({{2.F, 1.F, 0.F, -1.F}})};
    batch.targets = targets;
    return model.Loss(batch)->Total().item<double>();
  };
  const torch::Tensor first = torch::tensor({{1.F, 0.F, 0.F, 0.F}});
  const torch::Tensor second = torch::tensor({{0.F, 1.F, 0.F, 0.F}});
  EXPECT_NEAR(loss(nets::Smoothing::kUniform, first), 0.590190, 1e-6);
  EXPECT_NEAR(loss(nets::Smoothing::kOthers, first), 0.640190, 1e-6);
  // The loss of a mixture is the mixture of the losses.
  EXPECT_NEAR(
      loss(nets::Smoothing::kOthers, 0.3 * first + 0.7 * second),
      0.3 * loss(nets::Smoothing::kOthers, first) + 0.7 * loss(nets::Smoothing::kOthers, second),
      1e-6);
}

}  // namespace
}  // namespace orchard::training
