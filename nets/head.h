#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include <torch/nn.h>

#include "core/tensor.h"
#include "nets/network.h"
#include "nets/serve/servable.h"
#include "nets/sparse/routing_counts.h"

namespace orchard::nets {

/// A gate or an expert: features of one kind, or standardised pictures [N, 3, side, side] → logits
/// [N, classes].
struct HeadModule : torch::nn::Module {
  virtual torch::Tensor forward(const torch::Tensor& features) = 0;

  /// Starts from what the pretrained encoder already knows, where the architecture can: tails copy
  /// the encoder's last convolution. `last_block` is the encoder's features.18. By default nothing.
  virtual void InitialiseFrom(torch::nn::Module& last_block);

  /// How it is served: as a graph, unless its path depends on its input.
  virtual Way way() const { return Way::kFrozen; }

  /// The module whose parameters and buffers lie in the part's file, under their names there.
  virtual torch::nn::Module& stored() { return *this; }

  /// What routers inside the network have decided since StartCounting(), by layer; empty where
  /// nothing is routed inside. Both are thread-safe.
  virtual std::vector<RoutingCounts> Counts() const { return {}; }
  virtual void StartCounting() {}
};
using Head = std::shared_ptr<HeadModule>;

/// What a head needs to know beside its network's own choices.
struct HeadArgs {
  int64_t classes = 0;
  double dropout = 0.2;  ///< while training
};

/// A network that is a head. Its numbers of channels are multiples of 16 (the ranges of
/// network.proto): oneDNN pads channels to 16, and LibTorch 1.13 gives padded tensors a wrong size
/// in elementwise operations (it warns of a resized output). A row's bits must not depend on its
/// place in the batch either: for exponentials (SiLU, sigmoid), which LibTorch computes on pairs of
/// vector registers, exponentials.h sees to that.
struct HeadEntry {
  std::string_view name;  ///< of the network: NetworkName
  core::FeatureKind feature_kind;
  Head (*make)(const v1::Network& network, const HeadArgs& args);
  /// What choices have wrong together, beside their ranges; null: nothing can be.
  std::vector<std::string> (*faults)(const v1::Network& network, int64_t classes) = nullptr;
  /// Side of the pictures that it reads, pixels; null where it reads features.
  int64_t (*side)(const v1::Network& network) = nullptr;
};

/// Every head, in a fixed order.
const std::vector<HeadEntry>& Heads();

/// Those that read what the encoder gives: what gates and the experts of a shared encoder may be.
const std::vector<HeadEntry>& FeatureHeads();

/// Errors: INVALID_ARGUMENT: the network's faults (NetworkFaults), a network that is no head, with
/// the known heads, or fewer than two classes.
absl::StatusOr<const HeadEntry*> FindHead(const v1::Network& network, int64_t classes);

/// FindHead and make, absent choices with their defaults. Same errors.
absl::StatusOr<Head> MakeHead(const v1::Network& network, const HeadArgs& args);

/// The shape of one row of a kind that the encoder gives: {1280} or {320, 7, 7}.
std::vector<int64_t> RowShape(core::FeatureKind kind);

}  // namespace orchard::nets
