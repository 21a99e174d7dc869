#include "nets/vit_moe/vit_network.h"

#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "nets/parameter_count.h"

namespace orchard::nets {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(VitNetworkTest, TheDefaultsAreThePublishedSizes) {
  EXPECT_EQ(CountParameters(*Vit(OptionsOf({}, 43))), 10'709'803);
  v1::VitMoe parity;
  parity.set_mode(v1::VitMoe::PARITY);
  EXPECT_EQ(CountParameters(*Vit(OptionsOf(parity, 43))), 18'755'371);
}

// Every value of every enumeration has a meaning of its own, and most of them a network.
TEST(VitNetworkTest, EveryRouterIsItsOwn) {
  std::vector<RouterKind> kinds;
  for (int i = 0; i < v1::TokenRouter::Kind_ARRAYSIZE; ++i) {
    v1::VitMoe network;
    network.mutable_router()->set_kind(static_cast<v1::TokenRouter::Kind>(i));
    if (i == v1::TokenRouter::SWITCH) network.set_top_k(1);
    const VitOptions options = OptionsOf(network, 10);
    EXPECT_THAT(Faults(options), IsEmpty()) << v1::TokenRouter::Kind_Name(i);
    EXPECT_THAT(kinds, ::testing::Not(::testing::Contains(options.router.kind)));
    kinds.push_back(options.router.kind);
  }
}

TEST(VitNetworkTest, EveryLayerIsItsOwn) {
  const std::pair<v1::VitMoe::Layer, VitLayer> layers[] = {
      {v1::VitMoe::EXPERTS, VitLayer::kExperts},
      {v1::VitMoe::DENSE, VitLayer::kDense},
      {v1::VitMoe::SOFT, VitLayer::kSoft},
      {v1::VitMoe::MODULATED, VitLayer::kModulated}};
  for (const auto& [word, layer] : layers) {
    v1::VitMoe network;
    network.set_layer(word);
    const VitOptions options = OptionsOf(network, 10);
    EXPECT_EQ(options.layer, layer);
    EXPECT_THAT(Faults(options), IsEmpty());
  }
}

TEST(VitNetworkTest, WhatIsChosenArrives) {
  v1::VitMoe network;
  network.set_side(48);
  network.set_patch(8);
  network.set_width(64);
  network.set_layers(2);
  network.set_heads(4);
  network.set_hidden(96);
  network.set_experts(5);
  network.set_top_k(2);
  network.set_stem(true);
  network.set_layer(v1::VitMoe::MODULATED);
  network.mutable_router()->set_kind(v1::TokenRouter::UNCERTAIN);
  network.mutable_router()->set_uncertainty(v1::TokenRouter::INV_STD);
  network.mutable_router()->set_passes(7);
  network.mutable_modulation()->set_kind(v1::Modulation::LOW_RANK);
  network.mutable_modulation()->set_rank(3);
  const VitOptions options = OptionsOf(network, 12);
  EXPECT_EQ(options.classes, 12);
  EXPECT_EQ(options.side, 48);
  EXPECT_EQ(options.patch, 8);
  EXPECT_EQ(options.width, 64);
  EXPECT_EQ(options.layers, 2);
  EXPECT_EQ(options.heads, 4);
  EXPECT_EQ(options.hidden, 96);
  EXPECT_EQ(options.router.experts, 5);
  EXPECT_EQ(options.router.top_k, 2);
  EXPECT_TRUE(options.convolutional_stem);
  EXPECT_EQ(options.router.mode, UncertaintyMode::kInvStd);
  EXPECT_EQ(options.router.passes, 7);
  EXPECT_EQ(options.fme.kind, FmeKind::kLowRank);
  EXPECT_EQ(options.fme.rank, 3);
}

TEST(VitNetworkTest, ARouterThatLooksAtTheBatchIsNotServed) {
  EXPECT_THAT(ServingFaults({}), IsEmpty());
  v1::VitMoe network;
  network.mutable_router()->set_kind(v1::TokenRouter::V_MOE_BPR);
  EXPECT_THAT(ServingFaults(network), ::testing::ElementsAre(HasSubstr("depends on the others")));
}

}  // namespace
}  // namespace orchard::nets
