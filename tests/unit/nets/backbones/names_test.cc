#include "nets/backbones/names.h"

#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "nets/mobilenet_v2.h"

namespace orchard::nets {
namespace {

/// Every tensor of a network, but BatchNorm's counters.
std::set<std::string> NamesOf(const torch::nn::Module& module) {
  std::set<std::string> names;
  for (const auto& entry : module.named_parameters()) names.insert(entry.key());
  for (const auto& entry : module.named_buffers()) {
    if (!entry.key().ends_with("num_batches_tracked")) names.insert(entry.key());
  }
  return names;
}

void AddNorm(const std::string& name, std::vector<std::string>& names) {
  for (const char* part : {"weight", "bias", "running_mean", "running_var"}) {
    names.push_back(absl::StrCat(name, ".", part));
  }
}

/// timm's names of a network of stem, inverted residuals and head, written out by its rules: the
/// first stage has depthwise separable blocks, the others inverted residuals.
std::vector<std::string> TimmNames(const std::vector<int>& blocks, bool squeeze) {
  std::vector<std::string> names = {"conv_stem.weight", "conv_head.weight", "classifier.weight",
                                    "classifier.bias"};
  AddNorm("bn1", names);
  AddNorm("bn2", names);
  for (size_t stage = 0; stage < blocks.size(); ++stage) {
    for (int i = 0; i < blocks[stage]; ++i) {
      const std::string block = absl::StrCat("blocks.", stage, ".", i, ".");
      const bool separable = stage == 0;
      names.push_back(block + "conv_dw.weight");
      names.push_back(block + "conv_pw.weight");
      AddNorm(block + "bn1", names);
      AddNorm(block + "bn2", names);
      if (!separable) {
        names.push_back(block + "conv_pwl.weight");
        AddNorm(block + "bn3", names);
      }
      if (!squeeze) continue;
      for (const char* layer : {"conv_reduce", "conv_expand"}) {
        names.push_back(absl::StrCat(block, "se.", layer, ".weight"));
        names.push_back(absl::StrCat(block, "se.", layer, ".bias"));
      }
    }
  }
  return names;
}

struct NamesCase {
  BackboneKind kind;
  std::vector<int> blocks;
  bool squeeze;
};

class TimmNamesTest : public ::testing::TestWithParam<NamesCase> {};

TEST_P(TimmNamesTest, MeanEveryTensorOnce) {
  std::set<std::string> ours;
  for (const std::string& name : TimmNames(GetParam().blocks, GetParam().squeeze)) {
    const auto mapped = NameFromTimm(GetParam().kind, name);
    ASSERT_TRUE(mapped.has_value()) << name;
    EXPECT_TRUE(ours.insert(*mapped).second) << name << " and another are both " << *mapped;
  }
  EXPECT_EQ(ours, NamesOf(**MakeBackbone({.kind = GetParam().kind, .classes = 10})));
}

INSTANTIATE_TEST_SUITE_P(
    Networks, TimmNamesTest,
    ::testing::Values(NamesCase{BackboneKind::kEfficientNetB0, {1, 2, 2, 3, 3, 4, 1}, true},
                      NamesCase{BackboneKind::kEfficientNetLite0, {1, 2, 2, 3, 3, 4, 1}, false},
                      NamesCase{BackboneKind::kEfficientNetLite2, {1, 3, 3, 4, 4, 5, 1}, false}),
    [](const auto& param_info) { return std::string(NameOf(param_info.param.kind)); });

TEST(TimmNamesTest, MeanEveryTensorOfMobileNetV2) {
  std::set<std::string> ours;
  for (const std::string& name : TimmNames({1, 2, 3, 4, 3, 3, 1}, /*squeeze=*/false)) {
    const auto mapped = MobileNetV2NameFromTimm(name);
    ASSERT_TRUE(mapped.has_value()) << name;
    if (!mapped->starts_with("classifier.")) ours.insert(*mapped);  // The encoder has none.
  }
  EXPECT_EQ(ours, NamesOf(*MobileNetV2()));
}

TEST(TimmNamesTest, WhatTimmDoesNotHaveIsNothing) {
  EXPECT_FALSE(NameFromTimm(BackboneKind::kEfficientNetB0, "layer1.0.conv1.weight").has_value());
  EXPECT_FALSE(NameFromTimm(BackboneKind::kEfficientNetLite0, "blocks.9.0.conv_pw.weight"));
  EXPECT_FALSE(NameFromTimm(BackboneKind::kEfficientNetB0, "blocks.0.0.conv_pwl.weight"));
  EXPECT_FALSE(MobileNetV2NameFromTimm("fc.weight").has_value());
  EXPECT_EQ(NameFromTimm(BackboneKind::kResNet18, "layer1.0.conv1.weight"),
            "layer1.0.conv1.weight");
}

TEST(TorchvisionNamesTest, AreThoseOfTheNetworks) {
  const auto has = [](BackboneKind kind, const std::vector<std::string>& wanted) {
    const int64_t classes = kind == BackboneKind::kVgg16 ? 0 : 10;
    const auto names = NamesOf(**MakeBackbone({.kind = kind, .classes = classes}));
    for (const std::string& name : wanted) EXPECT_TRUE(names.contains(name)) << name;
  };
  has(BackboneKind::kResNet18, {"conv1.weight", "bn1.running_mean", "layer2.0.downsample.0.weight",
                                "layer2.0.downsample.1.bias", "layer4.1.bn2.weight", "fc.bias"});
  has(BackboneKind::kResNet50, {"layer1.0.downsample.0.weight", "layer3.5.conv3.weight"});
  has(BackboneKind::kVgg16, {"features.0.weight", "features.28.bias"});
  has(BackboneKind::kEfficientNetB0,
      {"features.0.0.weight", "features.1.0.block.0.1.running_var",
       "features.1.0.block.1.fc1.weight", "features.1.0.block.2.0.weight",
       "features.4.2.block.3.1.bias", "features.8.1.weight", "classifier.1.weight"});
}

}  // namespace
}  // namespace orchard::nets
