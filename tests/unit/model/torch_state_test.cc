#include "model/torch_state.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "tests/testing/status_matchers.h"

namespace orchard::model {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::IsOk;
using ::testing::Key;
using ::testing::Not;
using testing::StatusIs;

struct NetImpl final : torch::nn::Module {
  NetImpl() {
    torch::NoGradGuard guard;
    linear = register_module("linear", torch::nn::Linear(3, 2));
    norm = register_module("norm", torch::nn::BatchNorm1d(2));
    norm->running_mean.normal_();
  }
  torch::nn::Linear linear{nullptr};
  torch::nn::BatchNorm1d norm{nullptr};
};
TORCH_MODULE(Net);

TEST(TorchStateTest, KeepsNamesAndLeavesOutTheCounter) {
  EXPECT_THAT(StateOf(*Net(), "gate.", Precision::kFull),
              ElementsAre(Key("gate.linear.bias"), Key("gate.linear.weight"), Key("gate.norm.bias"),
                          Key("gate.norm.running_mean"), Key("gate.norm.running_var"),
                          Key("gate.norm.weight")));
}

TEST(TorchStateTest, HalvesMatricesOnly) {
  for (const auto& [name, tensor] : StateOf(*Net(), "", Precision::kHalf)) {
    EXPECT_EQ(tensor.type, name == "linear.weight" ? StoredType::kF16 : StoredType::kF32) << name;
  }
}

TEST(TorchStateTest, KeepsAMatrixWideThatHalvesCannotHold) {
  Net net;
  const torch::NoGradGuard guard;
  net->linear->weight[0][0] = 70000.0;
  const TensorMap state = StateOf(*net, "", Precision::kHalf);
  EXPECT_EQ(state.at("linear.weight").type, StoredType::kF32);
  EXPECT_EQ(state.at("linear.weight").Floats()[0], 70000.0F);
}

TEST(TorchStateTest, LoadGivesBackWhatWasStored) {
  Net from;
  Net to;
  ASSERT_THAT(LoadState(*to, StateOf(*from, "x.", Precision::kFull), "x.", "f"), IsOk());
  EXPECT_TRUE(torch::equal(to->linear->weight, from->linear->weight));
  EXPECT_TRUE(torch::equal(to->norm->running_mean, from->norm->running_mean));
}

TEST(TorchStateTest, LoadIgnoresTensorsOfOtherPrefixes) {
  Net net;
  TensorMap state = StateOf(*net, "x.", Precision::kFull);
  state["xy"] = state["x.norm.bias"];
  state["a"] = state["x.norm.bias"];
  EXPECT_THAT(LoadState(*net, state, "x.", "f"), IsOk());
}

TEST(TorchStateTest, NamesEveryFaultAtOnceAndCopiesNothing) {
  Net net;
  TensorMap state = StateOf(*Net(), "", Precision::kFull);
  state.erase("linear.bias");
  state["stranger"] = Store({1}, {1}, StoredType::kF32);
  state["norm.weight"] = Store({3}, {1, 1, 1}, StoredType::kF32);
  const torch::Tensor before = net->linear->weight.clone();
  EXPECT_THAT(
      LoadState(*net, state, "", "dir/x.safetensors"),
      StatusIs(absl::StatusCode::kInvalidArgument,
               AllOf(HasSubstr("dir/x.safetensors"), HasSubstr("\"linear.bias\" is missing"),
                     HasSubstr("\"stranger\" is not of this architecture"),
                     HasSubstr("\"norm.weight\" has shape [3], must be [2]"),
                     Not(HasSubstr("running_mean")))));
  EXPECT_TRUE(torch::equal(net->linear->weight, before));
}

}  // namespace
}  // namespace orchard::model
