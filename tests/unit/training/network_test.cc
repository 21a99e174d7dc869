// The network's loss and gradients, and what moves its weights.
#include <map>

#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "training/data/dataset.h"
#include "training/data/undersample.h"
#include "training/import.h"
#include "training/loop/average.h"
#include "training/loop/optimiser.h"
#include "training/measure/calibration.h"
#include "training/studies/masked_moe/folded.h"
#include "training/studies/masked_moe/masked_moe.h"
#include "training/studies/masked_moe/metrics.h"
#include "training/studies/masked_moe/sharded_encoder.h"

namespace orchard::training {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

v1::Recipe Recipe() {
  v1::Recipe recipe;
  const auto add = [&](const char* name, const char* branch) {
    v1::Domain& domain = *recipe.add_domains();
    domain.set_name(name);
    domain.set_branch(branch);
    return domain.mutable_expert();
  };
  add("fruit", "sound")->mutable_mlp();
  add("nut", "sound")->mutable_mbconv_tail();
  add("leaf", "sick")->mutable_bottleneck_tail();
  add("grain", "sick")->mutable_linear();
  v1::MaskedMoe& m = *recipe.mutable_masked_moe();
  m.mutable_gate()->mutable_linear();
  m.mutable_losses()->set_branch(1.0);
  m.mutable_losses()->set_domain(1.0);
  m.mutable_losses()->set_expert(1.0);
  return recipe;
}

std::vector<DomainClasses> Domains() {
  return {{"fruit", "sound", {"a", "b", "c"}},
          {"nut", "sound", {"d", "e"}},
          {"leaf", "sick", {"f", "g"}},
          {"grain", "sick", {"h", "i", "j", "k"}}};
}

std::shared_ptr<MaskedMoeImpl> Network() {
  torch::manual_seed(1);
  return *MaskedMoeImpl::Make(Recipe(), Domains());
}

nets::EncoderFeatures Features(int64_t rows) {
  return {.map = torch::rand({rows, 320, 7, 7}), .pooled = torch::rand({rows, 1280})};
}

/// Names of the parameters that the loss of `labels` gives a gradient.
std::vector<std::string> WithGradient(MaskedMoeImpl& network, const std::vector<Label>& labels) {
  network.TrainWithFrozenStatistics();
  network
      .Loss(Features(static_cast<int64_t>(labels.size())), labels, Recipe().masked_moe().losses())
      .backward();
  std::vector<std::string> names;
  for (const auto& item : network.named_parameters()) {
    if (item.value().grad().defined()) names.push_back(item.key());
  }
  return names;
}

TEST(MaskedLossTest, GivesOtherExpertsAndTheOtherBranchsGateNoGradientAtAll) {
  const auto network = Network();
  const std::vector<Label> labels = {{.domain = 0, .label = 2}, {.domain = 0, .label = 0}};
  const std::vector<std::string> names = WithGradient(*network, labels);
  EXPECT_FALSE(names.empty());
  size_t gate1 = 0, own_gate2 = 0, own_expert = 0;
  for (const std::string& name : names) {
    gate1 += name.starts_with("gates.branch.") ? 1 : 0;
    own_gate2 += name.starts_with("gates.domain.sound.") ? 1 : 0;
    own_expert += name.starts_with("experts.fruit.") ? 1 : 0;
  }
  EXPECT_GT(gate1, 0U);
  EXPECT_GT(own_gate2, 0U);
  EXPECT_GT(own_expert, 0U);
  EXPECT_EQ(gate1 + own_gate2 + own_expert, names.size());  // And nobody else.
}

TEST(MaskedLossTest, IsTheNegativeLogLikelihoodOfBranchDomainAndClass) {
  const auto network = Network();
  network->eval();
  const std::vector<Label> labels = {{0, 1}, {1, 0}, {2, 1}, {3, 3}};
  const nets::EncoderFeatures features = Features(4);
  const torch::NoGradGuard guard;
  const LogProbabilities log = Combine(*network, network->Forward(features), Temperatures{});
  double sum = 0.0;
  for (int64_t i = 0; i < 4; ++i) {
    const auto truth = static_cast<int64_t>(FlatIndex(Domains(), labels[static_cast<size_t>(i)]));
    sum -= log.joint[i][truth].item<double>();
  }
  EXPECT_NEAR(network->Loss(features, labels, Recipe().masked_moe().losses()).item<double>(),
              sum / 4, 1e-5);
}

TEST(MaskedLossTest, DividesByTheBatchSoThatSmallDomainsTakeNoLargerSteps) {
  const auto network = Network();
  network->eval();
  v1::Losses expert_only;
  expert_only.set_expert(1.0);
  const torch::NoGradGuard guard;
  nets::EncoderFeatures two = Features(2);
  two.pooled[1] = two.pooled[0];
  const double alone =
      network
          ->Loss({.map = two.map.narrow(0, 0, 1), .pooled = two.pooled.narrow(0, 0, 1)}, {{0, 1}},
                 expert_only)
          .item<double>();
  v1::Losses none;
  EXPECT_NEAR(network->Loss(two, {{0, 1}, {0, 1}}, expert_only).item<double>(), alone, 1e-5);
  EXPECT_NEAR(network->Loss(two, {{0, 1}, {0, 1}}, none).item<double>(), 0.0, 1e-6);
}

TEST(CombineTest, JointSumsToOneWhateverTheTemperatures) {
  const auto network = Network();
  network->eval();
  const torch::NoGradGuard guard;
  const Temperatures temperatures{.gates = {.branch = 0.7, .domain = {2.0, 0.5}},
                                  .classes = {1.0, 3.0, 0.4, 1.5}};
  const LogProbabilities log = Combine(*network, network->Forward(Features(5)), temperatures);
  EXPECT_TRUE(torch::allclose(log.joint.exp().sum(1), torch::ones({5}), 1e-5, 1e-6));
  EXPECT_TRUE(torch::allclose(log.domain.exp().sum(1), torch::ones({5}), 1e-5, 1e-6));
}

// models.md section 10, check 4.
TEST(MaskedLogSoftmaxTest, OverASubsetEqualsTheSubsetsOwnSoftmax) {
  const torch::Tensor z = torch::tensor({2.0, 1.0, 0.0, -1.0}, torch::requires_grad());
  const torch::Tensor log = MaskedLogSoftmax(z, torch::tensor({1, 1, 0, 0}));
  EXPECT_NEAR(log.exp()[0].item<double>(), 0.731059, 1e-6);
  EXPECT_NEAR(log.exp()[1].item<double>(), 0.268941, 1e-6);
  EXPECT_EQ(log.exp()[2].item<double>(), 0.0);
  (-log[0]).backward();
  EXPECT_TRUE(
      torch::allclose(z.grad(), torch::tensor({-0.268941, 0.268941, 0.0, 0.0}), 1e-4, 1e-6));
}

TEST(MeasureStatisticsTest, SetsTheTailsOwnNormsAndLeavesTheCopiedOneAlone) {
  const auto network = Network();
  network->StartFrom(*network->encoder);
  const auto before = network->named_buffers();
  std::map<std::string, torch::Tensor> copies;
  for (const auto& item : before) copies[item.key()] = item.value().clone();
  network->MeasureStatistics(/*domain=*/1, torch::rand({8, 320, 7, 7}) + 1.0);
  size_t changed = 0;
  for (const auto& item : network->named_buffers()) {
    if (item.key().ends_with("num_batches_tracked")) continue;
    if (torch::equal(item.value(), copies[item.key()])) continue;
    EXPECT_TRUE(item.key().starts_with("experts.nut.")) << item.key();
    EXPECT_EQ(item.key().find(".project."), std::string::npos) << item.key();
    ++changed;
  }
  EXPECT_GT(changed, 0U);
}

/// Statistics and scales that are not the defaults, so that folding has something to fold.
nets::MobileNetV2 Encoder() {
  torch::manual_seed(2);
  nets::MobileNetV2 encoder;
  const torch::NoGradGuard guard;
  for (const auto& module : encoder->modules()) {
    if (auto* norm = module->as<torch::nn::BatchNorm2dImpl>()) {
      norm->weight.uniform_(0.7, 1.3);
      norm->bias.uniform_(-0.2, 0.2);
      norm->running_mean.uniform_(-0.2, 0.2);
      norm->running_var.uniform_(0.05, 0.2);
    }
  }
  encoder->eval();
  return encoder;
}

TEST(FoldedForwardTest, GivesTheFeaturesAndTheGradientsOfThePlainForward) {
  // In double precision: in single precision a few of the many activations at a kink of ReLU6 fall
  // on the other side, and gradients differ by per cents.
  // One intra-op thread: LibTorch's convolution in double precision calls BLAS from several, which
  // Debian's serial OpenBLAS answers with wrong numbers now and then. Training convolves in single
  // precision, by oneDNN.
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  nets::MobileNetV2 encoder = Encoder();
  encoder->to(torch::kFloat64);
  encoder->PrepareFineTuning(/*first_trained=*/3);
  const torch::Tensor x = torch::rand({2, 3, 64, 64}, torch::kFloat64);
  const auto gradients = [&](const nets::EncoderFeatures& features) {
    encoder->zero_grad();
    (features.pooled.square().mean() + features.map.square().mean()).backward();
    std::map<std::string, torch::Tensor> found;
    for (const auto& item : encoder->named_parameters()) {
      if (item.value().grad().defined()) found[item.key()] = item.value().grad().clone();
    }
    return found;
  };
  const nets::EncoderFeatures plain = encoder->forward(x);
  const nets::EncoderFeatures folded = FoldedForward(encoder, x, 3);
  EXPECT_TRUE(torch::allclose(plain.pooled, folded.pooled, 1e-9, 1e-9));
  EXPECT_TRUE(torch::allclose(plain.map, folded.map, 1e-9, 1e-9));
  const auto want = gradients(plain);
  const auto got = gradients(folded);
  for (const auto& [name, gradient] : want) {
    if (gradient.abs().max().item<double>() == 0.0) continue;
    ASSERT_TRUE(got.contains(name)) << name;
    const double scale = gradient.abs().max().item<double>();
    EXPECT_LT((gradient - got.at(name)).abs().max().item<double>(), 1e-9 * scale) << name;
  }
  EXPECT_FALSE(got.contains("features.2.conv.0.0.weight"));  // Frozen.
  at::set_num_threads(threads);
}

TEST(MaskedLossTest, TailsAreLinearHeadsOnPooledFeaturesAtTheirStart) {
  const auto network = Network();
  nets::MobileNetV2 encoder = Encoder();
  network->StartFrom(*encoder);
  network->eval();
  const torch::NoGradGuard guard;
  const nets::EncoderFeatures features = network->encoder->forward(torch::rand({2, 3, 224, 224}));
  const std::vector<Label> labels = {{1, 0}, {2, 1}};
  const double as_tails =
      network->Loss(features, labels, Recipe().masked_moe().losses()).item<double>();
  network->TailsAsLinear(true);
  const double as_linear =
      network->Loss({.map = {}, .pooled = features.pooled}, labels, Recipe().masked_moe().losses())
          .item<double>();
  EXPECT_NEAR(as_tails, as_linear, 1e-4);
}

/// The gradient of a sum of squares over five pictures that are cut into shards.
torch::Tensor ShardedGradient(nets::MobileNetV2& encoder, const torch::Tensor& pixels,
                              int64_t shard, size_t threads) {
  for (torch::Tensor& parameter : encoder->parameters()) parameter.mutable_grad() = torch::Tensor();
  ShardedEncoder sharded(encoder, ImageNetPreprocessing(),
                         {.first_trained = 15, .shard = shard, .threads = threads});
  const nets::EncoderFeatures features = sharded.Forward(pixels);
  (features.pooled.square().sum() + features.map.square().sum()).backward();
  sharded.Backward(features);
  return encoder->named_parameters()["features.16.conv.0.0.weight"].grad().clone();
}

TEST(ShardedEncoderTest, AddsTheGradientsOfAllShards) {
  // In double precision, as in FoldedForwardTest: an untrained network's gradient in single
  // precision is per cents from the truth however it is summed, because some activations fall on
  // the other side of a kink of ReLU6; which ones is up to the libraries' kernels, and those depend
  // on the CPU and on the size of a shard (docs/training.md, "One picture in a shard").
  nets::MobileNetV2 encoder = Encoder();
  encoder->to(torch::kFloat64);
  encoder->PrepareFineTuning(/*first_trained=*/15);
  const torch::Tensor pixels = torch::randint(0, 255, {5, 32, 32, 3}, torch::kUInt8);
  const torch::Tensor whole = ShardedGradient(encoder, pixels, /*shard=*/5, /*threads=*/1);
  const double scale = whole.abs().max().item<double>();
  ASSERT_GT(scale, 0.0);
  for (const int64_t shard : {1, 2, 3, 4}) {  // 1+1+1+1+1, 2+2+1, 3+2, 4+1
    const torch::Tensor shards = ShardedGradient(encoder, pixels, shard, /*threads=*/2);
    EXPECT_LT((whole - shards).abs().max().item<double>(), 1e-9 * scale) << shard;
  }
}

TEST(ShardedEncoderTest, GivesTheSameBitsOnAnyNumberOfThreads) {
  nets::MobileNetV2 encoder = Encoder();
  encoder->PrepareFineTuning(/*first_trained=*/15);
  const torch::Tensor pixels = torch::randint(0, 255, {5, 64, 64, 3}, torch::kUInt8);
  const torch::Tensor shards = ShardedGradient(encoder, pixels, /*shard=*/2, /*threads=*/2);
  EXPECT_TRUE(torch::equal(shards, ShardedGradient(encoder, pixels, 2, 1)));
  EXPECT_TRUE(torch::equal(shards, ShardedGradient(encoder, pixels, 2, 3)));
}

TEST(AdamWTest, LeavesAParameterWithoutGradientBitwiseAlone) {
  torch::nn::Linear busy(3, 2), idle(3, 2);
  std::vector<TrainedParameter> parameters = {{"busy", busy->weight, 0.1},
                                              {"idle", idle->weight, 0.1}};
  AdamW optimiser(parameters, /*weight_decay=*/0.5);
  // Both have momentum at first; then one has no gradient any more.
  (busy->weight.sum() + idle->weight.sum()).backward();
  optimiser.Step(1.0);
  const torch::Tensor before = idle->weight.detach().clone();
  busy->weight.sum().backward();
  optimiser.Step(1.0);
  EXPECT_TRUE(torch::equal(idle->weight, before));
  EXPECT_FALSE(busy->weight.grad().defined());
}

TEST(AdamWTest, FirstStepMovesByTheRateAndDecaysMatricesOnly) {
  torch::nn::Linear layer(1, 1);
  {
    const torch::NoGradGuard guard;
    layer->weight.fill_(2.0);
    layer->bias.fill_(2.0);
  }
  AdamW optimiser({{"w", layer->weight, 0.1}, {"b", layer->bias, 0.1}}, /*weight_decay=*/0.5);
  (3.0 * layer->weight.sum() + 3.0 * layer->bias.sum()).backward();
  optimiser.Step(0.5);
  EXPECT_NEAR(layer->weight.item<double>(), 2.0 * (1 - 0.05 * 0.5) - 0.05, 1e-6);
  EXPECT_NEAR(layer->bias.item<double>(), 2.0 - 0.05, 1e-6);
}

TEST(AdamWTest, ClipsTheJointNorm) {
  torch::nn::Linear layer(1, 1);
  AdamW optimiser({{"w", layer->weight, 0.1}, {"b", layer->bias, 0.1}}, 0.0);
  (3.0 * layer->weight.sum() + 4.0 * layer->bias.sum()).backward();
  EXPECT_NEAR(optimiser.ClipGradients(1.0), 5.0, 1e-6);
  EXPECT_NEAR(layer->weight.grad().item<double>(), 0.6, 1e-6);
  EXPECT_NEAR(optimiser.ClipGradients(1.0), 1.0, 1e-6);
}

TEST(WeightAverageTest, StartsFastThenForgetsSlowly) {
  torch::nn::Linear layer(1, 1);
  const auto set = [&](double value) {
    const torch::NoGradGuard guard;
    layer->weight.fill_(value);
  };
  set(0.0);
  WeightAverage average({{"w", layer->weight, 0.1}}, /*decay=*/0.15);
  set(1.0);
  average.Update();  // d = min(.15, 1/10): .1 · 0 + .9 · 1
  average.Update();  // d = min(.15, 2/11) = .15: .15 · .9 + .85 · 1
  {
    const Averaged averaged(average);
    EXPECT_NEAR(layer->weight.item<double>(), 0.985, 1e-6);
  }
  EXPECT_EQ(layer->weight.item<double>(), 1.0);
}

// models.md section 10, check 21: temperature 2 makes .880797 of (2, 0) into .731059.
TEST(FitTemperatureTest, RecoversTheTemperatureOfItsOwnForecasts) {
  std::vector<size_t> target;
  for (int i = 0; i < 10000; ++i) target.push_back(i < 7311 ? 0 : 1);
  const torch::Tensor logits = torch::tensor({2.0, 0.0}).repeat({10000, 1});
  EXPECT_NEAR(FitTemperature(logits, target, /*prior=*/0.0), 2.0, 0.01);
}

TEST(FitTemperatureTest, StaysNearOneWhereAFewPicturesSayNothing) {
  const torch::Tensor logits = torch::tensor({4.0, 0.0}).repeat({5, 1});
  const std::vector<size_t> all_right(5, 0);
  EXPECT_LT(FitTemperature(logits, all_right, /*prior=*/0.0), 0.1);
  EXPECT_GT(FitTemperature(logits, all_right, /*prior=*/2.0), 0.5);
  EXPECT_EQ(FitTemperature(torch::zeros({0, 2}), {}, 0.0), 1.0);
}

TEST(FitThresholdsTest, LetsTheWantedSharePassBothTests) {
  std::vector<double> unknown, confidence;
  for (int i = 0; i < 200; ++i) {
    unknown.push_back(i);
    confidence.push_back(1.0 - i / 200.0);  // The least familiar ones are the surest.
  }
  const Thresholds thresholds = FitThresholds(unknown, confidence, 0.95);
  size_t passed = 0;
  for (size_t i = 0; i < 200; ++i) {
    passed += unknown[i] >= thresholds.unknown && confidence[i] >= thresholds.confidence ? 1 : 0;
  }
  EXPECT_EQ(passed, 190U);
}

TEST(MedoidsTest, ArePicturesOfTheSetOneInEachCloud) {
  torch::Tensor points = torch::randn({30, 4}) * 0.01;
  points.narrow(0, 10, 10).add_(10.0);
  points.narrow(0, 20, 10).sub_(10.0);
  std::vector<size_t> clouds;
  for (const size_t i : Medoids(points, 3, /*seed=*/5)) clouds.push_back(i / 10);
  EXPECT_THAT(clouds, ::testing::UnorderedElementsAre(0, 1, 2));
}

TEST(UndersampleTest, KeepsQuotasOfEachClassAndWholeClassesBelow) {
  std::vector<Label> labels;
  for (size_t i = 0; i < 20; ++i) labels.push_back({.domain = 0, .label = i % 2});
  for (size_t i = 0; i < 3; ++i) labels.push_back({.domain = 1, .label = 0});
  const std::vector<size_t> quota = {4, 4};
  for (const v1::Undersampling method : {v1::RANDOM, v1::MEDOID}) {
    const std::vector<size_t> kept =
        Undersample(labels, quota, method, torch::randn({23, 8}), /*seed=*/1);
    EXPECT_THAT(kept, SizeIs(11));
    EXPECT_THAT(std::vector<size_t>(kept.end() - 3, kept.end()), ElementsAre(20, 21, 22));
  }
}

TEST(ConceptTest, EqualLabelsAndListedOnesAreOneConcept) {
  v1::Recipe recipe;
  v1::Concept& pepper = *recipe.add_concepts();
  pepper.set_label("pepper");
  pepper.add_classes("x/bell");
  pepper.add_classes("y/capsicum");
  const std::vector<DomainClasses> domains = {{"x", "b", {"bell", "carrot"}},
                                              {"y", "b", {"capsicum", "carrot", "leek"}}};
  EXPECT_THAT(ConceptOfClass(recipe, domains), ElementsAre(0, 1, 0, 1, 2));
}

}  // namespace
}  // namespace orchard::training
