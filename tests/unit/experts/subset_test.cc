#include "experts/subset.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace orchard::experts {
namespace {

using ::testing::ElementsAreArray;
using ::testing::UnorderedElementsAreArray;

/// Addresses as the pods of a cluster have them: alike but for a digit or two.
std::vector<std::string> Pods(size_t count) {
  std::vector<std::string> pods;
  for (size_t i = 0; i < count; ++i) {
    pods.push_back("10.1." + std::to_string(i / 250) + "." + std::to_string(i % 250 + 1) + ":8011");
  }
  return pods;
}

std::vector<std::uint64_t> Routers(size_t count, unsigned seed) {
  std::mt19937_64 random(seed);
  std::vector<std::uint64_t> routers(count);
  for (std::uint64_t& router : routers) router = random();
  return routers;
}

/// The first `count` in a router's order, by name.
std::set<std::string> Subset(std::uint64_t router, const std::vector<std::string>& pods,
                             size_t count) {
  const std::vector<size_t> order = RendezvousOrder(router, pods);
  std::set<std::string> subset;
  for (size_t i = 0; i < std::min(count, order.size()); ++i) subset.insert(pods[order[i]]);
  return subset;
}

size_t InBoth(const std::set<std::string>& a, const std::set<std::string>& b) {
  return static_cast<size_t>(
      std::ranges::count_if(a, [&](const std::string& one) { return b.contains(one); }));
}

double MaxOverMean(const std::vector<std::uint64_t>& routers, const std::vector<std::string>& pods,
                   size_t count) {
  std::map<std::string, int> connections;
  for (const std::uint64_t router : routers) {
    for (const std::string& pod : Subset(router, pods, count)) ++connections[pod];
  }
  int most = 0;
  for (const auto& [pod, of_it] : connections) most = std::max(most, of_it);
  const double mean =
      static_cast<double>(routers.size() * count) / static_cast<double>(pods.size());
  return most / mean;
}

TEST(SubsetTest, AHundredRoutersSpreadOverFourHundredPods) {
  EXPECT_LE(MaxOverMean(Routers(100, 1), Pods(400), 20), 2.8);
}

TEST(SubsetTest, IdentitiesThatDifferByOneSpreadAsWell) {
  std::vector<std::uint64_t> routers(100);
  std::iota(routers.begin(), routers.end(), std::uint64_t{1});
  EXPECT_LE(MaxOverMean(routers, Pods(400), 20), 2.8);
}

TEST(SubsetTest, OnePodThatComesOrGoesMovesOneConnectionOfARouterAtMost) {
  const std::vector<std::string> pods = Pods(401);
  const std::vector<std::string> before(pods.begin(), pods.end() - 1);
  size_t moved = 0;
  for (const std::uint64_t router : Routers(200, 2)) {
    const std::set<std::string> with = Subset(router, pods, 20);
    const std::set<std::string> without = Subset(router, before, 20);
    const size_t moves = 20 - InBoth(with, without);
    EXPECT_LE(moves, 1U);
    EXPECT_EQ(moves, with.count(pods.back()));  // And never but for that pod.
    moved += moves;
  }
  EXPECT_GT(moved, 0U);  // 200 · 20 / 401: ten on average.
  EXPECT_LT(moved, 30U);
}

TEST(SubsetTest, TheOrderOfTheListDoesNotMatter) {
  std::vector<std::string> pods = Pods(50);
  const std::vector<size_t> order = RendezvousOrder(7, pods);
  std::vector<std::string> ranked;
  for (const size_t index : order) ranked.push_back(pods[index]);
  std::mt19937 random(3);
  std::ranges::shuffle(pods, random);
  std::vector<std::string> again;
  for (const size_t index : RendezvousOrder(7, pods)) again.push_back(pods[index]);
  EXPECT_THAT(again, ElementsAreArray(ranked));
}

TEST(SubsetTest, RoutersDiffer) {
  const std::vector<std::string> pods = Pods(400);
  size_t shared = 0;
  const std::vector<std::uint64_t> routers = Routers(21, 4);
  for (size_t i = 1; i < routers.size(); ++i) {
    shared += InBoth(Subset(routers[0], pods, 20), Subset(routers[i], pods, 20));
  }
  EXPECT_LT(shared, 40U);  // Of 400; chance alone shares 20.
}

TEST(SubsetTest, IsAllWhenThereAreNoMoreThanWanted) {
  const std::vector<std::string> pods = Pods(5);
  EXPECT_THAT(Subset(9, pods, 5), UnorderedElementsAreArray(pods));
  EXPECT_THAT(Subset(9, pods, 50), UnorderedElementsAreArray(pods));
}

}  // namespace
}  // namespace orchard::experts
