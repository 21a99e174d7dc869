#include "training/studies/masked_moe/encoder_only.h"

#include "training/data/dataset.h"
#include "training/data/sampler.h"
#include "training/loop/optimiser.h"
#include "training/loop/picture_task.h"
#include "training/loop/schedule.h"

namespace orchard::training {
namespace {

constexpr size_t kBatch = 128;
constexpr double kRate = 2e-3;
constexpr double kDecay = 0.02;

namespace F = torch::nn::functional;

}  // namespace

torch::nn::Linear TrainEncoderOnly(const torch::Tensor& pooled, const std::vector<Label>& labels,
                                   const std::vector<DomainClasses>& domains,
                                   const v1::Recipe& recipe) {
  torch::nn::Linear head(pooled.size(1), static_cast<int64_t>(TotalClasses(domains)));
  {
    const torch::NoGradGuard guard;
    head->weight.zero_();
    head->bias.zero_();
  }
  AdamW optimiser(TrainedParameters(*head, [](const auto&...) { return kRate; }), kDecay);
  Sampler sampler = MakeSampler(recipe, labels, kBatch, /*phase=*/60);
  const size_t steps = std::max<size_t>(1, labels.size() / kBatch);
  const Schedule schedule{.steps = kEncoderOnlyEpochs * steps, .warmup = steps / 2};
  for (size_t epoch = 0, step = 0; epoch < kEncoderOnlyEpochs; ++epoch) {
    const std::vector<size_t> order = sampler.NextEpoch(steps * kBatch);
    for (size_t b = 0; b < order.size() / kBatch; ++b, ++step) {
      std::vector<int64_t> rows, target;
      for (size_t i = b * kBatch; i < (b + 1) * kBatch; ++i) {
        rows.push_back(static_cast<int64_t>(order[i]));
        target.push_back(static_cast<int64_t>(FlatIndex(domains, labels[order[i]])));
      }
      const torch::Tensor x = pooled.index_select(0, torch::tensor(rows, torch::kLong));
      F::cross_entropy(head->forward(x), torch::tensor(target, torch::kLong),
                       F::CrossEntropyFuncOptions().label_smoothing(
                           recipe.masked_moe().losses().label_smoothing()))
          .backward();
      optimiser.Step(schedule.Factor(step));
    }
  }
  return head;
}

}  // namespace orchard::training
