#include "experts/endpoint_choice.h"

#include <cmath>
#include <cstdint>
#include <functional>
#include <map>
#include <queue>
#include <random>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/clock.h"
#include "experts/endpoint_load.h"

namespace orchard::experts {
namespace {

using core::Clock;
using ::testing::ElementsAre;
using namespace std::chrono_literals;

TEST(PickTest, TakesTheCheaperOfTwoWhateverChanceSays) {
  const std::vector<Candidate> endpoints = {{.cost = 3.0}, {.cost = 1.0}};
  for (std::uint64_t count = 0; count < 50; ++count) EXPECT_EQ(Pick(endpoints, Chance(count)), 1U);
}

TEST(PickTest, CostsWithinAQuarterAreOneAndChanceDecides) {
  const std::vector<Candidate> endpoints = {{.cost = 1.24}, {.cost = 1.0}};
  int first = 0;
  for (std::uint64_t count = 0; count < 1000; ++count) {
    first += Pick(endpoints, Chance(count)) == 0U ? 1 : 0;
  }
  EXPECT_NEAR(first, 500, 5);
}

TEST(PickTest, OfTwoThatCostTheSameTheOneThatWasGivenLess) {
  const std::vector<Candidate> endpoints = {{.cost = 1.0, .given = 40}, {.cost = 1.1, .given = 30}};
  for (std::uint64_t count = 0; count < 50; ++count) EXPECT_EQ(Pick(endpoints, Chance(count)), 1U);
}

std::vector<std::int64_t> GivenAfterForgetting(std::vector<Candidate> candidates) {
  ForgetDebts(candidates);
  std::vector<std::int64_t> given;
  for (const Candidate& candidate : candidates) given.push_back(candidate.given);
  return given;
}

TEST(ForgetDebtsTest, WhoComesOrComesBackIsOwedNothing) {
  const Candidate most{.given = 900};
  EXPECT_THAT(GivenAfterForgetting({most, {.given = kNeverGiven}}), ElementsAre(900, 900));
  EXPECT_THAT(GivenAfterForgetting({most, {.usable = false, .given = 860}}), ElementsAre(900, 900));
  EXPECT_THAT(GivenAfterForgetting({most, {.connected = false, .given = 860}}),
              ElementsAre(900, 900));
  EXPECT_THAT(GivenAfterForgetting({{.resting = true, .given = 860}, most}), ElementsAre(900, 900));
}

TEST(ForgetDebtsTest, WhoWasThereAllTheTimeIsOwedWhatItIsBehind) {
  EXPECT_THAT(GivenAfterForgetting({{.given = 900}, {.given = 860}}), ElementsAre(900, 860));
  EXPECT_THAT(GivenAfterForgetting({{.given = kNeverGiven}, {.given = kNeverGiven}}),
              ElementsAre(0, 0));
  EXPECT_THAT(GivenAfterForgetting({}), ElementsAre());
}

TEST(PickTest, LeavesOutWhatIsNotUsable) {
  const std::vector<Candidate> endpoints = {
      {.usable = false, .cost = 0.0}, {.cost = 9.0}, {.usable = false, .cost = 0.0}};
  for (std::uint64_t count = 0; count < 50; ++count) EXPECT_EQ(Pick(endpoints, Chance(count)), 1U);
  EXPECT_EQ(Pick(std::vector<Candidate>{{.usable = false}}, 7), std::nullopt);
  EXPECT_EQ(Pick({}, 7), std::nullopt);
}

TEST(PickTest, ThoseThatAreNotConnectedComeLast) {
  const std::vector<Candidate> endpoints = {{.connected = false, .cost = 0.0}, {.cost = 9.0}};
  for (std::uint64_t count = 0; count < 50; ++count) EXPECT_EQ(Pick(endpoints, Chance(count)), 1U);
  EXPECT_EQ(Pick(std::span(endpoints).first(1), 7), 0U);
}

TEST(PickTest, ThoseThatRestComeAfterTheOthersThatAreConnected) {
  const std::vector<Candidate> endpoints = {
      {.connected = false, .cost = 0.0}, {.resting = true, .cost = 0.0}, {.cost = 9.0}};
  for (std::uint64_t count = 0; count < 50; ++count) {
    EXPECT_EQ(Pick(endpoints, Chance(count)), 2U);
    EXPECT_EQ(Pick(std::span(endpoints).first(2), Chance(count)), 1U);
  }
}

struct FitCase {
  std::string name;
  Candidate candidate;
  bool first, retry, hedge;
};

class FitsTest : public ::testing::TestWithParam<FitCase> {};

TEST_P(FitsTest, DependsOnWhatTheAttemptIsFor) {
  const Candidate& candidate = GetParam().candidate;
  EXPECT_EQ(Fits(candidate, AttemptRecord::Kind::kFirst), GetParam().first);
  EXPECT_EQ(Fits(candidate, AttemptRecord::Kind::kRetry), GetParam().retry);
  EXPECT_EQ(Fits(candidate, AttemptRecord::Kind::kHedge), GetParam().hedge);
}

INSTANTIATE_TEST_SUITE_P(
    Table, FitsTest,
    ::testing::Values(
        FitCase{.name = "Up", .candidate = {}, .first = true, .retry = true, .hedge = true},
        FitCase{.name = "NotUpYet",
                .candidate = {.connected = false, .up = false},
                .first = true,
                .retry = true,
                .hedge = false},
        FitCase{.name = "Resting",
                .candidate = {.resting = true},
                .first = true,
                .retry = false,
                .hedge = false}),
    [](const auto& param_info) { return param_info.param.name; });

TEST(PickTest, EveryOneOfManyIsDrawn) {
  const std::vector<Candidate> endpoints(7, Candidate{.cost = 1.0});
  std::map<size_t, int> picked;
  for (std::uint64_t count = 0; count < 700; ++count) ++picked[*Pick(endpoints, Chance(count))];
  ASSERT_EQ(picked.size(), 7U);
  for (const auto& [index, times] : picked) EXPECT_NEAR(times, 100, 10) << index;
}

/// Rows that two endpoints were given by so many callers in a closed loop, each asking for a row
/// and waiting for its answer.
class Simulation {
 public:
  explicit Simulation(unsigned seed) : random_(seed) {}

  /// Seconds of an answer of endpoint `index`.
  using Seconds = std::function<double(size_t index, std::mt19937& random)>;

  std::vector<int> Run(size_t callers, int rows, const Seconds& seconds) {
    struct Answer {
      Clock::time_point at;
      size_t endpoint;
      EndpointLoad::Ticket ticket;
      bool operator>(const Answer& other) const { return at > other.at; }
    };
    std::priority_queue<Answer, std::vector<Answer>, std::greater<>> answers;
    std::vector<int> given(2);
    Clock::time_point now{1h};
    for (int row = 0; row < rows; ++row) {
      if (answers.size() == callers) {
        const Answer answer = answers.top();
        answers.pop();
        now = answer.at;
        loads_[answer.endpoint].Answered(answer.ticket, loads_[answer.endpoint].rows() - 1, now);
        for (EndpointLoad& load : loads_) load.SetFade(30ms);
      }
      std::vector<Candidate> candidates;
      for (size_t i = 0; i < 2; ++i) {
        candidates.push_back({.cost = loads_[i].Cost(now), .given = given_[i]});
      }
      const size_t picked = *Pick(candidates, Chance(count_++));
      ++given_[picked];
      given_[1 - picked] = std::max(given_[1 - picked], given_[picked] - kMostBehind);
      ++given[picked];
      const EndpointLoad::Ticket ticket = loads_[picked].Started(1, now);
      const auto took = std::chrono::duration_cast<Clock::duration>(
          std::chrono::duration<double>(seconds(picked, random_)));
      answers.push({now + took, picked, ticket});
    }
    return given;
  }

 private:
  std::mt19937 random_;
  std::uint64_t count_ = 0;
  EndpointLoad loads_[2];
  std::int64_t given_[2] = {0, 0};
};

/// Two milliseconds more or less, and one of a hundred a hiccup of ten times that.
double Noisy(size_t, std::mt19937& random) {
  const double usual = 0.002 * std::exp(0.3 * std::normal_distribution<>()(random));
  return std::uniform_int_distribution(0, 99)(random) == 0 ? 10 * usual : usual;
}

TEST(SimulationTest, EqualReplicasGetEqualShares) {
  for (const size_t callers : {1, 64}) {
    for (unsigned seed = 0; seed < 50; ++seed) {
      const std::vector<int> given = Simulation(seed).Run(callers, 300, Noisy);
      EXPECT_LE(std::max(given[0], given[1]), 1.2 * std::min(given[0], given[1]))
          << callers << " callers, seed " << seed << ": " << given[0] << " and " << given[1];
    }
  }
}

TEST(SimulationTest, AReplicaThatIsTenTimesSlowerGetsLittle) {
  for (const size_t callers : {1, 8, 64}) {
    const std::vector<int> given =
        Simulation(1).Run(callers, 2000, [](size_t index, std::mt19937& random) {
          return (index == 0 ? 10 : 1) * Noisy(index, random);
        });
    EXPECT_LT(given[0], 160) << callers;
  }
}

TEST(SimulationTest, AReplicaThatFallsSilentGetsNearlyNothingMore) {
  int rows = 0;
  std::vector<int> silent(2);
  Simulation(1).Run(64, 3000, [&](size_t index, std::mt19937& random) {
    const bool hangs = index == 0 && ++rows > 500;
    if (hangs) ++silent[0];
    return hangs ? 3600.0 : Noisy(index, random);
  });
  // What was given before its silence said anything, and no more as it lasts.
  EXPECT_LT(silent[0], 60);
}

}  // namespace
}  // namespace orchard::experts
