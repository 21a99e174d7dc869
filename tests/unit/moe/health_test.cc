#include "moe/health.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace orchard::moe {
namespace {

struct HealthCase {
  std::string name;
  std::vector<double> load;
  std::vector<double> importance;
  RoutingHealth want;
};

class HealthTest : public ::testing::TestWithParam<HealthCase> {};

TEST_P(HealthTest, MeasuresHowEvenTheLoadIs) {
  const RoutingHealth health = Health(GetParam().load, GetParam().importance);
  EXPECT_NEAR(health.cv_squared, GetParam().want.cv_squared, 1e-6);
  EXPECT_NEAR(health.max_over_mean, GetParam().want.max_over_mean, 1e-6);
  EXPECT_NEAR(health.normalised_entropy, GetParam().want.normalised_entropy, 1e-6);
  EXPECT_NEAR(health.balance_loss, GetParam().want.balance_loss, 1e-6);
}

// The checks are those of models.md section 10; fields in order: CV², max/mean, entropy, balance.
INSTANTIATE_TEST_SUITE_P(
    Table, HealthTest,
    ::testing::Values(
        HealthCase{"Check6OneExpertUniformGates",
                   {1, 0, 0, 0},
                   {.25, .25, .25, .25},
                   {3.0, 4.0, 0.0, 1.0}},
        HealthCase{"Check6OneExpertCertainGates", {1, 0, 0, 0}, {1, 0, 0, 0}, {3.0, 4.0, 0.0, 4.0}},
        HealthCase{"Check6Mixed", {.4, .3, .2, .1}, {.35, .3, .2, .15}, {0.2, 1.6, 0.923220, 1.14}},
        HealthCase{"Check6ThreeOfSeven",
                   {1, 1, 1, 0, 0, 0, 0},
                   {1, 1, 1, 0, 0, 0, 0},
                   {4.0 / 3.0, 7.0 / 3.0, 0.564575, 2.333333}},
        HealthCase{
            "Check7BalanceBelowOne", {3, 0, 1}, {.255, .37, .375}, {0.875, 2.25, 0.511860, 0.855}},
        HealthCase{"Check8UniformGatesUnequalLoad",
                   {.5, .5, 0, 0},
                   {.25, .25, .25, .25},
                   {1.0, 2.0, 0.5, 1.0}},
        HealthCase{"Check9Loads", {40, 30, 20, 10}, {1, 1, 1, 1}, {0.2, 1.6, 0.923220, 1.0}},
        HealthCase{"Check9OneExpert", {100, 0, 0, 0}, {1, 1, 1, 1}, {3.0, 4.0, 0.0, 1.0}},
        HealthCase{"ScaleDoesNotMatter", {8, 8}, {300, 300}, {0.0, 1.0, 1.0, 1.0}},
        HealthCase{"WithoutLoadAllIsEven", {0, 0, 0}, {1, 0, 0}, {0.0, 1.0, 1.0, 1.0}},
        HealthCase{"WithoutImportanceBalanceIsEven", {1, 0}, {0, 0}, {1.0, 2.0, 0.0, 1.0}},
        HealthCase{"OneExpertAlone", {7}, {1}, {0.0, 1.0, 1.0, 1.0}},
        HealthCase{"NoExperts", {}, {}, {0.0, 1.0, 1.0, 1.0}}),
    [](const auto& param_info) { return param_info.param.name; });

}  // namespace
}  // namespace orchard::moe
