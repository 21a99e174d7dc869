/// The four synthetic layers of models.md section 4.3: what routing gives, summed up and judged.

#include <cstddef>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "moe/verdict.h"
#include "nets/sparse/routing_totals.h"
#include "nets/sparse/token_layer.h"

namespace orchard::model {
namespace {

using nets::Ffn;
using nets::Routing;

constexpr int64_t kPictures = 600;
constexpr int64_t kTokens = 40;  // a picture: 24,000 in all
constexpr int64_t kExperts = 7;
constexpr int64_t kTopK = 3;
constexpr int64_t kWidth = 16;
constexpr int64_t kClasses = 14;

/// Token logits [n, E] as a router would give them.
Routing RoutingOf(const torch::Tensor& logits, const torch::Tensor& selection) {
  Routing routing{.logits = logits};
  routing.probabilities = logits.softmax(-1);
  const torch::Tensor experts = nets::SelectTopK(selection, kTopK).indices;
  const torch::Tensor chosen = routing.probabilities.gather(1, experts);
  routing.assignment = {.experts = experts, .weights = chosen / chosen.sum(-1, true)};
  return routing;
}

std::vector<Ffn> DistinctExperts() {
  std::vector<Ffn> experts;
  for (int64_t e = 0; e < kExperts; ++e) experts.push_back(Ffn(kWidth, 32, 0.0));
  return experts;
}

moe::Judgement JudgeLayer(const Routing& routing, std::vector<Ffn> experts) {
  const torch::NoGradGuard guard;
  nets::RoutingTotals totals;
  nets::Add(routing, kExperts, kPictures, totals);
  moe::LayerEvidence evidence{.sums = {.top_k = kTopK,
                                       .tokens = totals.tokens,
                                       .entropy = totals.entropy,
                                       .picks = totals.picks,
                                       .probability = totals.probability},
                              .pictures = totals.picks_of_picture.size()};
  std::vector<torch::Tensor> outputs;
  const torch::Tensor x = torch::randn({256, kWidth});
  for (Ffn& expert : experts) outputs.push_back(expert(x));
  const torch::Tensor distances = nets::ExpertDistances(torch::stack(outputs));
  const torch::Tensor pairs = torch::triu(torch::ones_like(distances), 1).to(torch::kBool);
  evidence.median_distance = distances.masked_select(pairs).median().item<double>();
  std::vector<size_t> labels;
  for (int64_t i = 0; i < kPictures; ++i) labels.push_back(static_cast<size_t>(i % kClasses));
  evidence.classes = moe::ClassAndExpert(labels, kClasses, totals.picks_of_picture, 200, 1);
  return moe::Judge(evidence);
}

/// Logits by the group of a picture's class: two classes share an expert and its neighbours.
torch::Tensor OracleLogits() {
  const torch::Tensor label = torch::arange(kPictures) % kClasses;
  const torch::Tensor group = label.repeat_interleave(kTokens) % kExperts;  // [n]
  torch::Tensor logits = torch::zeros({kPictures * kTokens, kExperts});
  for (int64_t step = 0; step < kTopK; ++step) {
    logits.scatter_(1, ((group + step) % kExperts).unsqueeze(1), 4.0 - static_cast<double>(step));
  }
  return logits;
}

TEST(VerdictOfLayerTest, AUniformRandomRouterIsIndifferent) {
  torch::manual_seed(1);
  const torch::Tensor logits = torch::randn({kPictures * kTokens, kExperts}) * 0.01;
  const moe::Judgement judgement = JudgeLayer(RoutingOf(logits, logits), DistinctExperts());
  EXPECT_EQ(moe::NameOf(judgement.verdict), "INDIFFERENT");
  EXPECT_THAT(judgement.reason, ::testing::HasSubstr("is uninformative"));
}

TEST(VerdictOfLayerTest, AFixedRouterIsCollapsed) {
  torch::manual_seed(1);
  torch::Tensor logits = torch::randn({kPictures * kTokens, kExperts});
  torch::Tensor selection = logits.clone();
  selection.narrow(1, 0, kTopK).add_(100.0);
  EXPECT_EQ(moe::NameOf(JudgeLayer(RoutingOf(logits, selection), DistinctExperts()).verdict),
            "COLLAPSED");
}

TEST(VerdictOfLayerTest, CopiedExpertsAreRedundant) {
  torch::manual_seed(1);
  const std::vector<Ffn> copies(kExperts, Ffn(kWidth, 32, 0.0));
  EXPECT_EQ(moe::NameOf(JudgeLayer(RoutingOf(OracleLogits(), OracleLogits()), copies).verdict),
            "REDUNDANT");
}

TEST(VerdictOfLayerTest, AnOracleByClassWithDistinctExpertsIsHealthy) {
  torch::manual_seed(1);
  const moe::Judgement judgement =
      JudgeLayer(RoutingOf(OracleLogits(), OracleLogits()), DistinctExperts());
  EXPECT_EQ(moe::NameOf(judgement.verdict), "HEALTHY") << judgement.reason;
}

}  // namespace
}  // namespace orchard::model
