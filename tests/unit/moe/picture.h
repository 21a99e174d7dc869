#pragma once

#include <cmath>
#include <cstddef>
#include <random>
#include <span>
#include <vector>

#include "core/log_space.h"
#include "moe/combine.h"
#include "moe/moe.h"
#include "moe/plan.h"
#include "moe/policy.h"

/// \file
/// One picture as gates and experts see it: worked out by hand, or drawn at random.

namespace orchard::moe::testing {

/// What the gates say of a picture, and what each expert would say if it were asked.
struct Picture {
  Taxonomy taxonomy;
  std::vector<double> log_domain;                     ///< [G]
  std::vector<std::vector<float>> log_probabilities;  ///< [G][C_g]

  size_t domains() const { return log_domain.size(); }
  ExpertAnswer Answer(size_t domain) const { return {domain, log_probabilities[domain]}; }
  std::vector<ExpertAnswer> Answers(std::span<const size_t> answered) const {
    std::vector<ExpertAnswer> answers;
    for (const size_t g : answered) answers.push_back(Answer(g));
    return answers;
  }
  std::vector<ExpertAnswer> Dense() const {
    std::vector<ExpertAnswer> answers;
    for (size_t g = 0; g < domains(); ++g) answers.push_back(Answer(g));
    return answers;
  }
  /// Every class of every domain, by (domain, class).
  size_t classes() const {
    size_t count = 0;
    for (const size_t c : taxonomy.classes) count += c;
    return count;
  }
};

inline std::vector<double> Logs(std::vector<double> probabilities) {
  for (double& p : probabilities) p = std::log(p);
  return probabilities;
}

inline std::vector<size_t> WantedBy(const Policy& policy, std::span<const double> log_domain) {
  std::vector<size_t> wanted;
  Wanted(policy, log_domain, wanted);
  return wanted;
}

inline std::vector<size_t> WaveOf(const Policy& policy, std::span<const double> log_domain,
                                  std::span<const ExpertState> states, double best_log_joint) {
  std::vector<size_t> wave;
  NextWave(policy, log_domain, states, best_log_joint, wave);
  return wave;
}

/// The picture of models.md section 10, check 1: domains A to E in branches (A, B, C) and (D, E),
/// q = (.42, .21, .07, .24, .06). Class 1 of A and class 0 of D share a concept.
inline Picture WorkedExample() {
  Picture picture;
  picture.taxonomy.branch_of = {0, 0, 0, 1, 1};
  picture.taxonomy.branches = 2;
  picture.taxonomy.classes = {2, 2, 2, 2, 2};
  picture.taxonomy.concept_of = {{0, 1}, {2, 3}, {4, 5}, {1, 6}, {7, 8}};
  picture.taxonomy.concepts = 9;
  const std::vector<double> log_branch = Logs({0.7, 0.3});
  const std::vector<double> log_given_branch = Logs({0.6, 0.3, 0.1, 0.8, 0.2});
  for (size_t g = 0; g < 5; ++g) {
    picture.log_domain.push_back(log_branch[picture.taxonomy.branch_of[g]] + log_given_branch[g]);
  }
  const std::vector<std::vector<double>> rows = {
      {0.9, 0.1}, {0.5, 0.5}, {0.2, 0.8}, {0.25, 0.75}, {1.0, 0.0}};
  for (const std::vector<double>& row : rows) {
    const std::vector<double> logs = Logs(row);
    picture.log_probabilities.emplace_back(logs.begin(), logs.end());
  }
  return picture;
}

/// A picture with random logits at every level; `sharpness` is their standard deviation, so that
/// both doubtful and saturated gates occur.
inline Picture RandomPicture(std::mt19937_64& random) {
  const auto draw = [&](size_t low, size_t high) {
    return std::uniform_int_distribution<size_t>(low, high)(random);
  };
  const double sharpness = std::uniform_real_distribution<double>(0.1, 8.0)(random);
  const auto log_softmax = [&](size_t count) {
    std::normal_distribution<float> normal(0.0F, static_cast<float>(sharpness));
    std::vector<float> logits(count);
    for (float& logit : logits) logit = normal(random);
    return core::LogSoftmax(logits, 1.0);
  };

  Picture picture;
  Taxonomy& taxonomy = picture.taxonomy;
  taxonomy.branches = draw(1, 3);
  const std::vector<double> log_branch = log_softmax(taxonomy.branches);
  for (size_t branch = 0; branch < taxonomy.branches; ++branch) {
    for (const double log_given_branch : log_softmax(draw(1, 6))) {
      taxonomy.branch_of.push_back(branch);
      taxonomy.classes.push_back(draw(1, 15));
      picture.log_domain.push_back(log_branch[branch] + log_given_branch);
    }
  }
  taxonomy.concepts = draw(1, 40);
  for (const size_t classes : taxonomy.classes) {
    const std::vector<double> logs = log_softmax(classes);
    picture.log_probabilities.emplace_back(logs.begin(), logs.end());
    std::vector<size_t>& row = taxonomy.concept_of.emplace_back();
    for (size_t c = 0; c < classes; ++c) row.push_back(draw(0, taxonomy.concepts - 1));
  }
  return picture;
}

}  // namespace orchard::moe::testing
