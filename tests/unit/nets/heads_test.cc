#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "nets/head.h"
#include "nets/mobilenet_v2.h"
#include "nets/parameter_count.h"
#include "nets/serve/frozen.h"
#include "tests/testing/status_matchers.h"

/// \file
/// What holds for every architecture of the registry. A new one is tested by being registered.

namespace orchard::nets {
namespace {

using orchard::testing::IsOk;
using orchard::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int64_t kClasses = 31;  // the largest domain
constexpr int64_t kMostParameters = 1'000'000;
constexpr double kMostMultiplyAdds = 0.15;  // of the encoder's
constexpr double kFrozenTolerance = 1e-5;   // relative: folding BatchNorm rounds differently

/// The entry's network, with its defaults.
v1::Network Network(const HeadEntry& entry) { return *NetworkOf(entry.name, {}); }

/// A head whose every tensor counts: no BatchNorm scale or statistic as it starts.
Head MakeLively(const HeadEntry& entry) {
  torch::manual_seed(11);
  Head head = *MakeHead(Network(entry), {.classes = kClasses});
  const torch::NoGradGuard guard;
  for (const auto& module : head->modules()) {
    auto* norm = module->as<torch::nn::BatchNorm2dImpl>();
    if (norm == nullptr) continue;
    norm->weight.uniform_(0.5, 1.5);
    norm->bias.uniform_(-0.5, 0.5);
    norm->running_mean.uniform_(-0.5, 0.5);
    norm->running_var.uniform_(0.5, 1.5);
  }
  return head;
}

torch::Tensor Features(const HeadEntry& entry, int64_t rows) {
  torch::manual_seed(12);
  std::vector<int64_t> shape = RowShape(entry.feature_kind);
  shape.insert(shape.begin(), rows);
  return torch::rand(shape);
}

absl::StatusOr<FrozenNet> Freeze(const HeadEntry& entry, const Head& head) {
  const auto forward = [&head](const torch::Tensor& x) {
    return std::vector<torch::Tensor>{head->forward(x)};
  };
  return FrozenNet::Make("head", *head, forward, Features(entry, 1));
}

class HeadTest : public ::testing::TestWithParam<HeadEntry> {
 protected:
  void SetUp() override { at::set_num_threads(1); }
};

TEST_P(HeadTest, GivesARowOfLogitsForARowOfFeatures) {
  const Head head = MakeLively(GetParam());
  EXPECT_EQ(head->forward(Features(GetParam(), 3)).sizes(), (std::vector<int64_t>{3, kClasses}));
}

TEST_P(HeadTest, GradientsReachEveryParameter) {
  const Head head = MakeLively(GetParam());
  head->train();
  const torch::Tensor logits = head->forward(Features(GetParam(), 4));
  torch::nn::functional::cross_entropy(logits, torch::arange(4)).backward();
  for (const auto& parameter : head->named_parameters()) {
    const torch::Tensor gradient = parameter.value().grad();
    ASSERT_TRUE(gradient.defined()) << parameter.key();
    EXPECT_GT(gradient.abs().max().item<float>(), 0.0F) << parameter.key();
  }
}

TEST_P(HeadTest, FrozenEqualsEager) {
  const Head head = MakeLively(GetParam());
  const auto frozen = Freeze(GetParam(), head);
  ASSERT_THAT(frozen, IsOk());
  const torch::NoGradGuard guard;
  const torch::Tensor features = Features(GetParam(), 5);
  const torch::Tensor eager = head->forward(features);
  const auto outputs = frozen->Run(features);
  ASSERT_THAT(outputs, IsOk());
  const torch::Tensor difference = (outputs->at(0) - eager).abs().max() / eager.abs().max();
  EXPECT_LT(difference.item<double>(), kFrozenTolerance);
}

TEST_P(HeadTest, BatchMatesChangeNoBitOfTheFrozenNet) {
  constexpr int64_t kMost = 16;
  const Head head = MakeLively(GetParam());
  const auto frozen = Freeze(GetParam(), head);
  ASSERT_THAT(frozen, IsOk());
  const torch::Tensor features = Features(GetParam(), kMost);
  std::vector<torch::Tensor> alone;
  for (int64_t row = 0; row < kMost; ++row) {
    alone.push_back(frozen->Run(features.slice(0, row, row + 1))->at(0)[0]);
  }
  for (int64_t rows = 1; rows <= kMost; ++rows) {
    const torch::Tensor batch = frozen->Run(features.slice(0, 0, rows))->at(0);
    for (int64_t row = 0; row < rows; ++row) {
      EXPECT_TRUE(torch::equal(batch[row], alone[static_cast<size_t>(row)]))
          << "row " << row << " of " << rows;
    }
  }
}

TEST_P(HeadTest, StaysWithinTheBudgetOfParameters) {
  const int64_t count = CountParameters(*MakeLively(GetParam()));
  RecordProperty("parameters", std::to_string(count));
  EXPECT_LE(count, kMostParameters);
}

TEST_P(HeadTest, StaysWithinTheBudgetOfMultiplyAdds) {
  // Each weight of a kernel is used once per output position. Positions are 7 × 7, but 1 after the
  // mean: that is where the layers with a bias stand (Dense).
  int64_t count = 0;
  for (const auto& module : MakeLively(GetParam())->modules()) {
    const auto* layer = module->as<torch::nn::Conv2dImpl>();
    if (layer == nullptr) continue;
    const int64_t positions = layer->bias.defined() ? 1 : kMapSide * kMapSide;
    count += layer->weight.numel() * positions;
  }
  RecordProperty("multiply_adds", std::to_string(count));
  EXPECT_GT(count, 0);
  EXPECT_LE(static_cast<double>(count), kMostMultiplyAdds * kEncoderMultiplyAdds);
}

TEST_P(HeadTest, RefusesChoicesThatItDoesNotHaveAndValuesOutOfRange) {
  EXPECT_THAT(NetworkOf(GetParam().name, {{"wdith", 16}}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr(std::string(GetParam().name)), HasSubstr("\"wdith\""))));
  for (const auto& [choice, usual] : Choices(Network(GetParam()))) {
    for (const auto& [value, fault] :
         {std::pair(0, " is 0, must be in [16, "), std::pair(-16, " is -16, must be in [16, "),
          std::pair(1 << 20, " is 1048576, must be in [16, "),
          std::pair(40, " is 40, must be a multiple of 16")}) {
      EXPECT_THAT(NetworkOf(GetParam().name, {{choice, value}}),
                  StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(choice + fault)));
    }
  }
}

TEST_P(HeadTest, ChoicesChangeTheSize) {
  const auto count = [](const Head& head) { return CountParameters(*head); };
  const int64_t usual = count(*MakeHead(Network(GetParam()), {.classes = 3}));
  for (const auto& [choice, value] : Choices(Network(GetParam()))) {
    const auto narrow = NetworkOf(GetParam().name, {{choice, 16}});
    ASSERT_THAT(narrow, IsOk());
    EXPECT_LT(count(*MakeHead(*narrow, {.classes = 3})), usual) << choice;
    // The default said is the default meant.
    EXPECT_EQ(count(*MakeHead(*NetworkOf(GetParam().name, {{choice, static_cast<int>(value)}}),
                              {.classes = 3})),
              usual)
        << choice;
  }
}

TEST_P(HeadTest, TailsStartAsTheEncodersLastBlock) {
  if (GetParam().feature_kind != core::FeatureKind::kMap) GTEST_SKIP() << "reads no map";
  torch::manual_seed(13);
  MobileNetV2 encoder;
  encoder->eval();
  const Head head = *MakeHead(Network(GetParam()), {.classes = kClasses});
  head->InitialiseFrom(*encoder->features->ptr(kEncoderBlocks - 1));
  head->eval();
  const torch::NoGradGuard guard;
  const EncoderFeatures features = encoder->forward(torch::randn({2, 3, 64, 64}));
  auto* classify = head->named_children()["classify"]->as<torch::nn::Conv2dImpl>();
  const torch::Tensor want =
      torch::addmm(classify->bias, features.pooled, classify->weight.flatten(1).t());
  EXPECT_TRUE(torch::allclose(head->forward(features.map), want, 1e-4, 1e-5));
}

INSTANTIATE_TEST_SUITE_P(Registry, HeadTest, ::testing::ValuesIn(FeatureHeads()),
                         [](const auto& param_info) { return std::string(param_info.param.name); });

TEST(HeadsTest, AnUnknownNetworkIsRefusedWithTheKnownOnes) {
  EXPECT_THAT(NetworkOf("no_such_net", {}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("\"no_such_net\""),
                             HasSubstr("linear, mlp, bottleneck_tail, mbconv_tail"))));
  EXPECT_THAT(MakeHead({}, {.classes = 3}), StatusIs(absl::StatusCode::kInvalidArgument,
                                                     HasSubstr("no network is named; known: ")));
}

TEST(HeadsTest, AnEncoderIsNoHead) {
  EXPECT_THAT(MakeHead(*NetworkOf("mobilenet_v2", {}), {.classes = 3}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("mobilenet_v2 is no gate and no expert; known: linear, mlp")));
}

TEST(HeadsTest, OneClassIsNoChoice) {
  EXPECT_THAT(MakeHead(*NetworkOf("mlp", {}), {.classes = 1}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("at least 2 classes, not 1")));
}

/// Fields of a network, those of messages inside it as well, that are numbers without a range.
std::vector<std::string> NumbersWithoutRange(const google::protobuf::Descriptor& message) {
  using google::protobuf::FieldDescriptor;
  std::vector<std::string> found;
  for (int i = 0; i < message.field_count(); ++i) {
    const FieldDescriptor& field = *message.field(i);
    if (field.message_type() != nullptr) {
      for (const std::string& inner : NumbersWithoutRange(*field.message_type())) {
        found.push_back(inner);
      }
    } else if (field.enum_type() == nullptr && field.cpp_type() != FieldDescriptor::CPPTYPE_BOOL &&
               !field.options().HasExtension(v1::range)) {
      found.push_back(field.full_name());
    }
  }
  return found;
}

// So that no number of a recipe or a manifest goes unchecked.
TEST(NetworksTest, EveryNumberHasARangeAndADefaultInsideIt) {
  for (const std::string& name : KnownNetworks()) {
    const auto network = NetworkOf(name, {});
    ASSERT_THAT(network, IsOk()) << name;  // The defaults have no fault.
    const auto* kind = v1::Network::descriptor()->FindFieldByName(name)->message_type();
    EXPECT_THAT(NumbersWithoutRange(*kind), ::testing::IsEmpty());
    EXPECT_EQ(Choices(*network), Choices(Complete(*network)));
    EXPECT_THAT(NetworkFaults(Complete(*network)), ::testing::IsEmpty());
  }
}

TEST(NetworksTest, FaultsOfMessagesInsideANetworkAreFound) {
  v1::Network network;
  network.mutable_vit_moe()->set_side(4096);
  network.mutable_vit_moe()->mutable_router()->set_passes(1);
  network.mutable_vit_moe()->mutable_router()->set_kind(static_cast<v1::TokenRouter::Kind>(77));
  EXPECT_THAT(NetworkFaults(network),
              ElementsAre("vit_moe.side is 4096, must be in [4, 1024]",
                          "vit_moe.router.kind is 77, which is no Kind",
                          "vit_moe.router.passes is 1, must be in [2, 64]"));
}

TEST(NetworksTest, WhatIsNoNumberIsNoArgument) {
  for (const char* choice : {"mode", "router", "stem"}) {
    EXPECT_THAT(NetworkOf("vit_moe", {{choice, 1}}),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("takes no argument")))
        << choice;
  }
}

}  // namespace
}  // namespace orchard::nets
