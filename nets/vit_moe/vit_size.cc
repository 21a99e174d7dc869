#include <bit>

#include <torch/nn.h>

#include "nets/parameter_count.h"
#include "nets/vit_moe/vit_block.h"
#include "nets/vit_moe/vit_moe.h"

/// \file
/// What a Vit of given options costs, by arithmetic (models.md section 3.3).

namespace orchard::nets {
namespace {

int64_t FfnParameters(const VitOptions& o) { return 2 * o.width * o.hidden + o.hidden + o.width; }

int64_t Tokens(const VitOptions& o) {
  const int64_t along = o.side / o.patch;
  return along * along + 1;
}

int64_t EmbeddingMultiplyAdds(const VitOptions& o) {
  const int64_t positions = Tokens(o) - 1;
  if (!o.convolutional_stem) return positions * 3 * o.patch * o.patch * o.width;
  const int halvings = StemHalvings(o);
  int64_t count = positions * o.width * o.width;  // The 1×1 projection.
  int64_t in = 3;
  int64_t side = o.side;
  for (int step = 0; step <= halvings; ++step) {
    const int64_t out = o.width >> (halvings - step);
    if (step > 0) side = (side + 1) / 2;
    count += side * side * 9 * in * out;
    in = out;
  }
  return count;
}

int64_t AttentionMultiplyAdds(const VitOptions& o) {
  const int64_t t = Tokens(o);
  return t * 4 * o.width * o.width + 2 * t * t * o.width;
}

/// The router's passes outside training, beside the one that every router makes (models.md section
/// 6.2), over all tokens.
int64_t PassMultiplyAdds(const VitOptions& o) {
  const bool routes = o.layer == VitLayer::kExperts || o.layer == VitLayer::kModulated;
  const bool many =
      o.router.mode != UncertaintyMode::kOff && o.router.mode != UncertaintyMode::kMean;
  if (!routes || o.router.kind != RouterKind::kUncertain || !many) return 0;
  return o.router.passes * Tokens(o) * o.width * o.router.experts;
}

int64_t LayerMultiplyAdds(const VitOptions& o) {
  const int64_t t = Tokens(o);
  const int64_t ffn = 2 * o.width * o.hidden;
  const int64_t experts = o.router.experts;
  switch (o.layer) {
    case VitLayer::kDense:
      return t * ffn;
    case VitLayer::kExperts:
      return t * (o.router.top_k * ffn + experts * o.width);
    case VitLayer::kSoft: {
      const int64_t slots = experts * o.slots_each;
      return 3 * t * slots * o.width + slots * ffn;  // Logits, dispatch, combine; FFNs on slots.
    }
    case VitLayer::kModulated: {
      FmeOptions fme = o.fme;
      fme.width = o.width;
      fme.hidden = o.hidden;
      return t * MultiplyAdds(fme, experts, o.router.top_k);
    }
  }
  return 0;
}

}  // namespace

int StemHalvings(const VitOptions& options) {
  return static_cast<int>(std::bit_width(static_cast<uint64_t>(options.patch))) - 1;
}

int64_t ActiveParameters(const VitOptions& options) {
  const int64_t count = CountParameters(*Vit(options));
  if (options.mode == VitMode::kParity || options.layer != VitLayer::kExperts) return count;
  return count -
         options.layers * (options.router.experts - options.router.top_k) * FfnParameters(options);
}

int64_t MultiplyAdds(const VitOptions& options) {
  const int64_t t = Tokens(options);
  const int64_t head = options.width * options.classes;
  int64_t layer =
      AttentionMultiplyAdds(options) + LayerMultiplyAdds(options) + PassMultiplyAdds(options);
  if (options.mode == VitMode::kParity) {
    const int64_t block = AttentionMultiplyAdds(options) + t * 2 * options.width * options.hidden;
    layer = options.router.experts * (block + t * options.width);
  }
  return EmbeddingMultiplyAdds(options) + options.layers * layer + head;
}

int64_t ParityParameterCount(const VitOptions& options) {
  const int64_t d = options.width;
  const int64_t block = 4 * d + 4 * d * d + 4 * d + FfnParameters(options);
  const int64_t embedding = 3 * options.patch * options.patch * d + d + d + Tokens(options) * d;
  return embedding + options.layers * options.router.experts * (block + d) + 2 * d +
         (d + 1) * options.classes;
}

}  // namespace orchard::nets
