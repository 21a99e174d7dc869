/// Logits of a Vit against the same network written a second time as plain loops over doubles: no
/// tensor operation is shared but reading the parameters.

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "nets/vit_moe/vit_moe.h"

namespace orchard::nets {
namespace {

using Vector = std::vector<double>;
using Rows = std::vector<Vector>;  // [tokens][width]

/// Parameters by name, flat and in double.
class Weights {
 public:
  explicit Weights(const torch::nn::Module& module) {
    for (const auto& entry : module.named_parameters()) {
      const torch::Tensor flat = entry.value().detach().to(torch::kFloat64).contiguous();
      const auto* first = flat.data_ptr<double>();
      values_[entry.key()] = Vector(first, first + flat.numel());
    }
  }
  const Vector& At(const std::string& name) const { return values_.at(name); }
  bool Has(const std::string& name) const { return values_.contains(name); }

 private:
  std::map<std::string, Vector> values_;
};

class ByHand {
 public:
  ByHand(const Weights& weights, const VitOptions& options) : w_(weights), o_(options) {}

  Vector Logits(const Vector& picture) const {
    Rows x = Embed(picture);
    for (int64_t layer = 0; layer < o_.layers; ++layer) {
      const std::string name = "blocks." + std::to_string(layer);
      x = o_.mode == VitMode::kParity ? Parity(name, x) : Corrected(name, x);
    }
    return Linear("head", Normed("norm", x)[0]);
  }

 private:
  Rows Embed(const Vector& picture) const {
    const auto side = static_cast<size_t>(o_.side), patch = static_cast<size_t>(o_.patch);
    const auto d = static_cast<size_t>(o_.width);
    const size_t along = side / patch;
    Rows x = {w_.At("cls_token")};
    for (size_t py = 0; py < along; ++py) {
      for (size_t px = 0; px < along; ++px) {
        Vector token = w_.At("patch_embed.proj.bias");
        const Vector& kernel = w_.At("patch_embed.proj.weight");
        for (size_t out = 0; out < d; ++out) {
          for (size_t c = 0; c < 3; ++c) {
            for (size_t y = 0; y < patch; ++y) {
              for (size_t z = 0; z < patch; ++z) {
                const size_t pixel = (c * side + py * patch + y) * side + px * patch + z;
                token[out] += kernel[((out * 3 + c) * patch + y) * patch + z] * picture[pixel];
              }
            }
          }
        }
        x.push_back(token);
      }
    }
    const Vector& positions = w_.At("pos_embed");
    for (size_t t = 0; t < x.size(); ++t) {
      for (size_t i = 0; i < d; ++i) x[t][i] += positions[t * d + i];
    }
    return x;
  }

  Vector Linear(const std::string& name, const Vector& x) const {
    const Vector& weight = w_.At(name + ".weight");
    const size_t out = weight.size() / x.size();
    Vector y(out, 0.0);
    if (w_.Has(name + ".bias")) y = w_.At(name + ".bias");
    for (size_t o = 0; o < out; ++o) {
      for (size_t i = 0; i < x.size(); ++i) y[o] += weight[o * x.size() + i] * x[i];
    }
    return y;
  }

  Rows Normed(const std::string& name, Rows x) const {
    const Vector& gain = w_.At(name + ".weight");
    const Vector& shift = w_.At(name + ".bias");
    for (Vector& row : x) {
      const auto n = static_cast<double>(row.size());
      const double mean = std::accumulate(row.begin(), row.end(), 0.0) / n;
      double variance = 0.0;
      for (const double v : row) variance += (v - mean) * (v - mean) / n;
      for (size_t i = 0; i < row.size(); ++i) {
        row[i] = (row[i] - mean) / std::sqrt(variance + 1e-5) * gain[i] + shift[i];
      }
    }
    return x;
  }

  static Vector Softmax(Vector z) {
    const double peak = *std::max_element(z.begin(), z.end());
    double sum = 0.0;
    for (double& v : z) sum += v = std::exp(v - peak);
    for (double& v : z) v /= sum;
    return z;
  }

  Rows Attention(const std::string& name, const Rows& x) const {
    const size_t d = x[0].size();
    const size_t head = d / static_cast<size_t>(o_.heads);
    const double root = std::sqrt(static_cast<double>(head));
    const double scale = o_.mode == VitMode::kParity ? root : 1.0 / root;
    Rows qkv;
    for (const Vector& row : x) qkv.push_back(Linear(name + ".qkv", row));
    Rows mixed(x.size(), Vector(d, 0.0));
    for (size_t h = 0; h * head < d; ++h) {
      for (size_t t = 0; t < x.size(); ++t) {
        Vector z(x.size(), 0.0);
        for (size_t s = 0; s < x.size(); ++s) {
          for (size_t i = 0; i < head; ++i) {
            z[s] += scale * qkv[t][h * head + i] * qkv[s][d + h * head + i];
          }
        }
        const Vector weight = Softmax(z);
        for (size_t s = 0; s < x.size(); ++s) {
          for (size_t i = 0; i < head; ++i) {
            mixed[t][h * head + i] += weight[s] * qkv[s][2 * d + h * head + i];
          }
        }
      }
    }
    for (Vector& row : mixed) row = Linear(name + ".proj", row);
    return mixed;
  }

  Vector FeedForward(const std::string& name, const Vector& x) const {
    Vector h = Linear(name + ".fc1", x);
    for (double& v : h) v = 0.5 * v * (1.0 + std::erf(v / std::sqrt(2.0)));
    return Linear(name + ".fc2", h);
  }

  /// Weight of every expert for a token: softmax, top K, renormalised; ties to the lower index.
  Vector Gates(const std::string& name, const Vector& x) const {
    Vector z = Linear(name + ".logits.gate", x);
    if (o_.mode == VitMode::kParity) {
      for (double& v : z) v /= std::sqrt(static_cast<double>(x.size()));
    }
    const Vector p = Softmax(z);
    std::vector<size_t> order(p.size());
    std::iota(order.begin(), order.end(), 0U);
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return p[a] > p[b]; });
    Vector gates(p.size(), 0.0);
    double sum = 0.0;
    for (size_t k = 0; k < static_cast<size_t>(o_.router.top_k); ++k) sum += p[order[k]];
    for (size_t k = 0; k < static_cast<size_t>(o_.router.top_k); ++k) {
      gates[order[k]] = p[order[k]] / sum;
    }
    return gates;
  }

  static void AddTo(Rows& x, const Rows& y) {
    for (size_t t = 0; t < x.size(); ++t) {
      for (size_t i = 0; i < x[t].size(); ++i) x[t][i] += y[t][i];
    }
  }

  /// y = x + Σ gate · Block(x), Block with residuals of its own.
  Rows Parity(const std::string& name, const Rows& x) const {
    Rows y = x;
    for (size_t e = 0; e < static_cast<size_t>(o_.router.experts); ++e) {
      const std::string expert = name + ".experts." + std::to_string(e);
      Rows block = x;
      AddTo(block, Attention(expert + ".attn", Normed(expert + ".norm1", x)));
      Rows hidden;
      for (const Vector& row : Normed(expert + ".norm2", block)) {
        hidden.push_back(FeedForward(expert + ".mlp", row));
      }
      AddTo(block, hidden);
      for (size_t t = 0; t < x.size(); ++t) {
        const double gate = Gates(name + ".router", x[t])[e];
        for (size_t i = 0; i < x[t].size(); ++i) y[t][i] += gate * block[t][i];
      }
    }
    return y;
  }

  Rows Corrected(const std::string& name, Rows x) const {
    AddTo(x, Attention(name + ".attn", Normed(name + ".norm1", x)));
    const Rows normed = Normed(name + ".norm2", x);
    for (size_t t = 0; t < x.size(); ++t) {
      const Vector gates = Gates(name + ".mlp.router", normed[t]);
      for (size_t e = 0; e < gates.size(); ++e) {
        if (gates[e] == 0.0) continue;
        const Vector y = FeedForward(name + ".mlp.experts." + std::to_string(e), normed[t]);
        for (size_t i = 0; i < y.size(); ++i) x[t][i] += gates[e] * y[i];
      }
    }
    return x;
  }

  const Weights& w_;
  const VitOptions& o_;
};

class VitByHandTest : public ::testing::TestWithParam<VitMode> {};

TEST_P(VitByHandTest, LogitsAreThoseOfPlainLoops) {
  torch::manual_seed(11);
  VitOptions options{.mode = GetParam(),
                     .classes = 3,
                     .side = 6,
                     .patch = 2,
                     .width = 8,
                     .layers = 2,
                     .heads = 2,
                     .hidden = 12};
  options.router.experts = 4;
  options.router.top_k = 2;
  Vit vit(options);
  {
    const torch::NoGradGuard guard;  // What starts at zero or one would hide mistakes.
    for (torch::Tensor& parameter : vit->parameters()) {
      parameter.add_(torch::randn_like(parameter) * 0.2);
    }
  }
  vit->to(torch::kFloat64);
  vit->eval();
  const torch::Tensor x = torch::randn({1, 3, 6, 6}, torch::kFloat64);
  const torch::Tensor logits = vit->forward(x).logits;
  const auto* pixels = x.data_ptr<double>();
  const Weights weights(*vit);
  const Vector want = ByHand(weights, options).Logits(Vector(pixels, pixels + x.numel()));
  for (size_t c = 0; c < want.size(); ++c) {
    EXPECT_NEAR(logits[0][static_cast<int64_t>(c)].item<double>(), want[c], 1e-9) << c;
  }
}

INSTANTIATE_TEST_SUITE_P(Modes, VitByHandTest,
                         ::testing::Values(VitMode::kParity, VitMode::kCorrected),
                         [](const auto& param_info) {
                           return std::string(param_info.param == VitMode::kParity ? "Parity"
                                                                                   : "Corrected");
                         });

}  // namespace
}  // namespace orchard::nets
