#include "training/measure/comparison.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "training/training.h"

namespace orchard::training {
namespace {

Hits HitsOf(const std::vector<std::uint8_t>& right) {
  Hits hits;
  for (const std::uint8_t one : right) hits.Count(one != 0);
  return hits;
}

ArmFigures FiguresOf(const Arm& arm) {
  ArmFigures figures{.vote = HitsOf(arm.vote_right)};
  for (const std::vector<std::uint8_t>& right : arm.right) {
    figures.seeds.push_back(HitsOf(right));
    figures.mean += figures.seeds.back().Share() / static_cast<double>(arm.right.size());
  }
  figures.interval = Wilson(figures.vote.hits, figures.vote.total);
  return figures;
}

Paired PairedOf(const std::vector<std::uint8_t>& first, const std::vector<std::uint8_t>& second) {
  Paired paired{.total = first.size()};
  for (size_t i = 0; i < first.size(); ++i) {
    paired.only_first += first[i] > second[i] ? 1 : 0;
    paired.only_second += second[i] > first[i] ? 1 : 0;
  }
  return paired;
}

/// [folds] of indices.
std::vector<std::vector<size_t>> MembersOf(std::span<const size_t> fold) {
  std::map<size_t, std::vector<size_t>> members;
  for (size_t i = 0; i < fold.size(); ++i) members[fold[i]].push_back(i);
  std::vector<std::vector<size_t>> lists;
  for (auto& [number, list] : members) lists.push_back(std::move(list));
  return lists;
}

}  // namespace

Interval BootstrapDifference(const Arm& first, const Arm& second, std::span<const size_t> fold,
                             const BootstrapOptions& options) {
  const size_t seeds = first.right.size();
  const std::vector<std::vector<size_t>> folds = MembersOf(fold);
  std::vector<double> means;
  for (size_t draw = 0; draw < options.draws; ++draw) {
    std::uint64_t next = 0;  // A number of its own for everything that is drawn.
    const auto below = [&](size_t count) {
      return static_cast<size_t>(Mix(options.seed, draw, next++) % count);
    };
    std::vector<int64_t> times(seeds);  // That each seed was drawn.
    for (size_t s = 0; s < seeds; ++s) ++times[below(seeds)];
    int64_t sum = 0;
    for (const std::vector<size_t>& members : folds) {
      for (size_t i = 0; i < members.size(); ++i) {
        const size_t picture = members[below(members.size())];
        for (size_t s = 0; s < seeds; ++s) {
          sum += times[s] * (first.right[s][picture] - second.right[s][picture]);
        }
      }
    }
    means.push_back(static_cast<double>(sum) / static_cast<double>(seeds * fold.size()));
  }
  std::ranges::sort(means);
  constexpr double kTail = 0.025;
  const auto cut = static_cast<size_t>(std::floor(kTail * static_cast<double>(means.size())));
  return {.low = means[cut], .high = means[means.size() - 1 - cut]};
}

Comparison CompareArms(std::span<const Arm> arms, std::span<const size_t> fold,
                       const BootstrapOptions& options) {
  Comparison comparison;
  for (const Arm& arm : arms) comparison.arms.push_back(FiguresOf(arm));
  std::vector<double> p;
  for (size_t a = 0; a < arms.size(); ++a) {
    for (size_t b = a + 1; b < arms.size(); ++b) {
      const ArmFigures& one = comparison.arms[a];
      const ArmFigures& other = comparison.arms[b];
      PairFigures pair{.first = a,
                       .second = b,
                       .votes = PairedOf(arms[a].vote_right, arms[b].vote_right),
                       .mean_difference = one.mean - other.mean};
      pair.interval = pair.votes.DifferenceInterval(one.vote.hits, other.vote.hits);
      pair.p = pair.votes.McNemar();
      pair.bootstrap = BootstrapDifference(arms[a], arms[b], fold, options);
      p.push_back(pair.p);
      comparison.pairs.push_back(pair);
    }
  }
  const std::vector<double> adjusted = Holm(p);
  for (size_t i = 0; i < adjusted.size(); ++i) comparison.pairs[i].holm = adjusted[i];
  return comparison;
}

}  // namespace orchard::training
