#include <cstdint>
#include <random>
#include <vector>

#include <benchmark/benchmark.h>

#include "core/log_space.h"
#include "moe/combine.h"
#include "moe/moe.h"

namespace orchard::moe {
namespace {

/// The default model: nine domains, 85 classes in all.
constexpr size_t kClasses[] = {18, 15, 5, 2, 5, 4, 3, 29, 4};

struct Answers {
  Taxonomy taxonomy;
  std::vector<double> log_domain;
  std::vector<std::vector<float>> rows;
  std::vector<ExpertAnswer> answers;

  explicit Answers(size_t answered) {
    std::mt19937 random(1);
    std::normal_distribution<float> normal(0.0F, 3.0F);
    const auto log_softmax = [&](size_t count) {
      std::vector<float> logits(count);
      for (float& logit : logits) logit = normal(random);
      return core::LogSoftmax(logits, 1.0);
    };
    log_domain = log_softmax(std::size(kClasses));
    for (const size_t classes : kClasses) {
      taxonomy.branch_of.push_back(0);
      taxonomy.classes.push_back(classes);
      std::vector<size_t>& concepts = taxonomy.concept_of.emplace_back();
      for (size_t c = 0; c < classes; ++c) concepts.push_back(taxonomy.concepts++);
      const std::vector<double> logs = log_softmax(classes);
      rows.emplace_back(logs.begin(), logs.end());
    }
    taxonomy.branches = 1;
    for (size_t g = 0; g < answered; ++g) answers.push_back({g, rows[g]});
  }
};

void BM_Combine(benchmark::State& state) {
  const Answers picture(static_cast<size_t>(state.range(0)));
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        Combine(picture.taxonomy, picture.log_domain, picture.answers, /*top=*/5));
  }
  state.SetItemsProcessed(state.iterations());  // → pictures per second
}
BENCHMARK(BM_Combine)->ArgName("experts")->Arg(1)->Arg(2)->Arg(9);

void BM_BestLogJoint(benchmark::State& state) {
  const Answers picture(std::size(kClasses));
  for (auto _ : state) {
    benchmark::DoNotOptimize(BestLogJoint(picture.log_domain, picture.answers));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_BestLogJoint);

}  // namespace
}  // namespace orchard::moe
