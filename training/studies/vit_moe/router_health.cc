#include "training/studies/vit_moe/router_health.h"

#include <algorithm>

#include "absl/strings/str_format.h"
#include <torch/torch.h>

#include "nets/sparse/token_layer.h"
#include "nets/vit_moe/vit_block.h"
#include "training/measure/classification.h"
#include "training/measure/statistics.h"
#include "training/training.h"

namespace orchard::training {
namespace {

/// Stands in a router's place for a while: keeps what it was given, and may give each token the
/// experts that another token chose.
struct ProbedRouter final : nets::TokenRouterImpl {
  ProbedRouter(nets::TokenRouter probed, bool shuffles, std::uint64_t seed)
      : TokenRouterImpl(probed->options), inner(std::move(probed)), shuffled(shuffles) {
    generator = at::detail::createCPUGenerator(seed);
  }

  nets::Routing forward(const torch::Tensor& x) override {
    seen = x;
    nets::Routing routing = inner->forward(x);
    if (!shuffled) return routing;
    const torch::Tensor order = torch::randperm(routing.assignment.experts.size(0), generator,
                                                torch::TensorOptions(torch::kLong));
    routing.assignment.experts = routing.assignment.experts.index_select(0, order.to(x.device()));
    return routing;
  }

  nets::TokenRouter inner;
  bool shuffled;
  at::Generator generator;
  torch::Tensor seen;  // [B, T, D], of the last call
};

/// A layer of the network that routes, and its experts where they are plain FFNs.
struct RoutingLayer {
  nets::TokenRouter* router = nullptr;
  torch::nn::ModuleList* ffns = nullptr;  // Null: whole blocks, or modulations of one FFN.
};

std::vector<RoutingLayer> LayersOf(nets::Vit& network) {
  std::vector<RoutingLayer> layers;
  for (size_t i = 0; i < network->blocks->size(); ++i) {
    const std::shared_ptr<torch::nn::Module> block = network->blocks->ptr(i);
    if (auto* parity = dynamic_cast<nets::ParityBlockImpl*>(block.get())) {
      layers.push_back({.router = &parity->router});
    } else if (auto* corrected = dynamic_cast<nets::CorrectedBlockImpl*>(block.get())) {
      if (auto* sparse = dynamic_cast<nets::SparseFfn*>(corrected->mlp.get())) {
        layers.push_back({.router = &sparse->router, .ffns = &sparse->experts});
      } else if (auto* fme = dynamic_cast<nets::ModulatedFfn*>(corrected->mlp.get())) {
        layers.push_back({.router = &fme->router});
      }
    }
  }
  return layers;
}

/// Puts a probe in a router's place for a scope.
class Probe {
 public:
  Probe(nets::TokenRouter& place, bool shuffles, std::uint64_t seed)
      : place_(place),
        before_(place),
        probe_(std::make_shared<ProbedRouter>(place, shuffles, seed)) {
    place_ = probe_;
  }
  ~Probe() { place_ = before_; }
  Probe(const Probe&) = delete;
  Probe& operator=(const Probe&) = delete;

  const torch::Tensor& seen() const { return probe_->seen; }

 private:
  nets::TokenRouter& place_;
  nets::TokenRouter before_;
  std::shared_ptr<ProbedRouter> probe_;
};

/// The median over pairs of experts of their distance on `tokens` [n, D].
double MedianDistance(torch::nn::ModuleList& experts, const torch::Tensor& tokens) {
  std::vector<torch::Tensor> outputs;
  for (size_t e = 0; e < experts->size(); ++e) {
    outputs.push_back(experts->ptr(e)->as<nets::FfnImpl>()->forward(tokens));
  }
  const torch::Tensor distances = nets::ExpertDistances(torch::stack(outputs)).to(torch::kCPU);
  std::vector<double> pairs;
  for (int64_t i = 0; i < distances.size(0); ++i) {
    for (int64_t j = 0; j < i; ++j) pairs.push_back(distances[i][j].item<double>());
  }
  std::ranges::sort(pairs);
  const size_t half = pairs.size() / 2;
  return pairs.size() % 2 == 1 ? pairs[half] : (pairs[half - 1] + pairs[half]) / 2;
}

std::vector<size_t> BestClasses(const torch::Tensor& log_probabilities) {
  const auto width = static_cast<size_t>(log_probabilities.size(1));
  const std::span<const float> all(log_probabilities.data_ptr<float>(),
                                   static_cast<size_t>(log_probabilities.numel()));
  std::vector<size_t> best;
  for (size_t from = 0; from < all.size(); from += width) {
    best.push_back(BestClass(all.subspan(from, width)));
  }
  return best;
}

moe::ShuffleTest Compare(const std::vector<size_t>& before, const std::vector<size_t>& after,
                         std::span<const size_t> labels) {
  Paired paired{.total = labels.size()};
  for (size_t i = 0; i < labels.size(); ++i) {
    const bool first = before[i] == labels[i];
    const bool second = after[i] == labels[i];
    paired.only_first += first && !second ? 1 : 0;
    paired.only_second += second && !first ? 1 : 0;
  }
  return {.accuracy_lost = 100.0 * paired.Difference(), .p_value = paired.McNemar()};
}

}  // namespace

std::vector<LayerHealth> JudgeRouters(nets::Vit& network, const Standardise& standardise,
                                      const torch::Tensor& pixels, std::span<const size_t> labels,
                                      size_t classes, const VitAnswers& answers,
                                      const RouterHealthOptions& options) {
  const torch::NoGradGuard guard;
  const std::vector<RoutingLayer> layers = LayersOf(network);
  const std::vector<size_t> before = BestClasses(answers.log_probabilities);
  const torch::Tensor some =
      pixels.narrow(0, 0, std::min(options.distance_pictures, pixels.size(0)));
  std::vector<LayerHealth> healths;
  for (size_t i = 0; i < layers.size(); ++i) {
    const nets::RoutingTotals& totals = answers.routing[i];
    const nets::TokenRouter router = *layers[i].router;
    moe::LayerEvidence evidence{.sums = {.top_k = static_cast<size_t>(router->options.top_k),
                                         .tokens = totals.tokens,
                                         .entropy = totals.entropy,
                                         .picks = totals.picks,
                                         .probability = totals.probability},
                                .pictures = labels.size()};
    if (layers[i].ffns != nullptr) {
      const Probe probe(*layers[i].router, /*shuffles=*/false, 0);
      Ask(network, standardise, some, some.size(0));
      const torch::Tensor seen = probe.seen();
      evidence.median_distance = MedianDistance(*layers[i].ffns, seen.reshape({-1, seen.size(-1)}));
    }
    {
      const Probe probe(*layers[i].router, /*shuffles=*/true, Mix(options.seed, i));
      evidence.shuffle =
          Compare(before, BestClasses(Ask(network, standardise, pixels).log_probabilities), labels);
    }
    evidence.classes = moe::ClassAndExpert(labels, classes, totals.picks_of_picture,
                                           options.permutations, Mix(options.seed, i, 1));
    healths.push_back({.measures = moe::Measure(evidence.sums),
                       .median_distance = evidence.median_distance.value_or(-1.0),
                       .shuffle = *evidence.shuffle,
                       .class_information = evidence.classes->information.normalised,
                       .class_p = evidence.classes->p_value,
                       .judgement = moe::Judge(evidence)});
  }
  return healths;
}

std::string ToText(const std::vector<LayerHealth>& layers) {
  std::string text;
  std::vector<moe::Verdict> verdicts;
  for (size_t i = 0; i < layers.size(); ++i) {
    const LayerHealth& layer = layers[i];
    verdicts.push_back(layer.judgement.verdict);
    absl::StrAppendFormat(
        &text,
        "layer %d: %s (%s); B %.4f, N_eff %.2f, h %.3f, J %.3f, distance %.3f, shuffled "
        "%+.2f points (p %.3g), class information %.4f (p %.3g)\n",
        i + 1, std::string(moe::NameOf(layer.judgement.verdict)), layer.judgement.reason,
        layer.measures.balance, layer.measures.effective_experts, layer.measures.token_entropy,
        layer.measures.gate_information, layer.median_distance, -layer.shuffle.accuracy_lost,
        layer.shuffle.p_value, layer.class_information, layer.class_p);
  }
  if (!layers.empty()) absl::StrAppendFormat(&text, "routers: %s\n", moe::Summarise(verdicts));
  return text;
}

}  // namespace orchard::training
