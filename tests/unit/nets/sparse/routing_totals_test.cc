#include "nets/sparse/routing_totals.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "nets/sparse/token_layer.h"

namespace orchard::nets {
namespace {

constexpr int64_t kExperts = 7;
constexpr int64_t kTopK = 3;

Routing RoutingOf(const torch::Tensor& logits) {
  Routing routing{.logits = logits};
  routing.probabilities = logits.softmax(-1);
  const TopK top = SelectTopK(routing.probabilities, kTopK);
  routing.assignment = {.experts = top.indices,
                        .weights = top.values / top.values.sum(-1, /*keepdim=*/true)};
  return routing;
}

TEST(ExpertDistancesTest, CopiesAreAtZeroAndOrthogonalOutputsAtTwo) {
  const torch::Tensor a = torch::tensor({{1.0, 0.0}, {0.0, 1.0}});
  const torch::Tensor b = torch::tensor({{0.0, 1.0}, {1.0, 0.0}});
  const torch::Tensor distances = ExpertDistances(torch::stack({a, a, b}));
  EXPECT_NEAR(distances[0][1].item<double>(), 0.0, 1e-6);
  EXPECT_NEAR(distances[0][2].item<double>(), 2.0, 1e-6);
}

TEST(RoutingTotalsTest, BatchesAddUp) {
  torch::manual_seed(4);
  const torch::Tensor logits = torch::randn({12, kExperts});
  RoutingTotals whole, parts;
  Add(RoutingOf(logits), kExperts, /*pictures=*/4, whole);
  for (const int64_t from : {0, 6}) {
    const torch::Tensor part = logits.narrow(0, from, 6);
    Add(RoutingOf(part), kExperts, /*pictures=*/2, parts);
  }
  EXPECT_EQ(whole.tokens, 12.0);
  EXPECT_EQ(whole.picks, parts.picks);
  EXPECT_EQ(whole.picks_of_picture, parts.picks_of_picture);
  EXPECT_NEAR(whole.entropy, parts.entropy, 1e-9);
  double picks = 0.0;
  for (const double count : whole.picks) picks += count;
  EXPECT_EQ(picks, 12.0 * kTopK);
}

}  // namespace
}  // namespace orchard::nets
