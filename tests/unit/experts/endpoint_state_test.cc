#include "experts/endpoint_state.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace orchard::experts {
namespace {

using Link = EndpointFacts::Link;
using ::testing::ElementsAre;

const core::Clock::time_point kStart{std::chrono::hours(1)};

EndpointFacts Up() { return {.link = Link::kUp}; }
EndpointFacts Bad(int since = 0) {
  return {.link = Link::kUp, .bad = true, .bad_since = kStart + std::chrono::seconds(since)};
}
EndpointFacts Trial() {
  EndpointFacts facts = Bad();
  facts.trial = true;
  return facts;
}
EndpointFacts Foreign() { return {.link = Link::kUp, .foreign = true}; }
EndpointFacts Down() { return {.link = Link::kDown}; }
EndpointFacts Connecting() { return {.link = Link::kConnecting}; }

struct Case {
  std::string name;
  std::vector<EndpointFacts> endpoints;
  std::string states;  // a letter each: u c e f d
  std::string usable;  // y or n each
  std::optional<MissingReason> unavailable = std::nullopt;
  bool all_bad = false;
};

TEST(JudgeTest, Table) {
  const std::vector<Case> cases = {
      {"nobody", {}, "", "", MissingReason::kDown},
      {"all well", {Up(), Up()}, "uu", "yy"},
      {"connecting counts", {Connecting()}, "c", "y"},
      {"down", {Down(), Up()}, "du", "ny"},
      {"all down", {Down(), Down()}, "dd", "nn", MissingReason::kDown},
      {"foreign by itself", {Foreign(), Up()}, "fu", "ny"},
      {"all foreign or down", {Foreign(), Down()}, "fd", "nn", MissingReason::kForeign},
      {"one of two", {Bad(), Up()}, "eu", "ny"},
      {"one of three, as a half is", {Bad(2), Bad(1), Up()}, "ueu", "yny"},
      {"two of four, the first that were", {Bad(3), Bad(1), Bad(2), Up()}, "ueeu", "ynny"},
      {"a lone one", {Bad()}, "e", "n", MissingReason::kEjected, true},
      {"all", {Bad(1), Bad(2), Bad(3)}, "eee", "nnn", MissingReason::kEjected, true},
      {"all that can be reached",
       {Bad(), Down(), Foreign()},
       "edf",
       "nnn",
       MissingReason::kEjected,
       true},
      {"on trial", {Trial()}, "e", "y", std::nullopt, true},
      {"on trial beside a good one", {Trial(), Up()}, "eu", "yy"},
  };
  for (const Case& one : cases) {
    const Verdict verdict = Judge(one.endpoints);
    std::string states;
    std::string usable;
    for (const EndpointState state : verdict.states) states += Name(state).substr(0, 1);
    for (const bool use : verdict.usable) usable += use ? 'y' : 'n';
    EXPECT_EQ(states, one.states) << one.name;
    EXPECT_EQ(usable, one.usable) << one.name;
    EXPECT_EQ(verdict.unavailable, one.unavailable) << one.name;
    EXPECT_EQ(verdict.all_bad, one.all_bad) << one.name;
  }
}

TEST(JudgeTest, AsManyAreEjectedAsThereMayBe) {
  const std::vector<EndpointFacts> endpoints = {Bad(1), Bad(2), Up()};
  EXPECT_THAT(Judge(endpoints, 0).states,
              ElementsAre(EndpointState::kUp, EndpointState::kUp, EndpointState::kUp));
  EXPECT_THAT(Judge(endpoints, 2).states,
              ElementsAre(EndpointState::kEjected, EndpointState::kEjected, EndpointState::kUp));
}

TEST(IsSoundTest, IsWhoMayBeAskedWithoutADoubt) {
  EXPECT_TRUE(IsSound(Up()));
  EXPECT_TRUE(IsSound(Connecting()));
  for (const EndpointFacts& facts : {Bad(), Trial(), Foreign(), Down()}) {
    EXPECT_FALSE(IsSound(facts));
  }
}

}  // namespace
}  // namespace orchard::experts
