// Networks of nets/ as files: what is saved is what is loaded, under the names that others use.

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "model/safetensors.h"
#include "model/torch_state.h"
#include "nets/head.h"
#include "nets/mobilenet_v2.h"
#include "nets/network.h"
#include "tests/testing/status_matchers.h"

namespace orchard::model {
namespace {

using orchard::testing::IsOk;

/// A head whose every tensor counts: no BatchNorm scale or statistic as it starts.
nets::Head MakeLively(const nets::HeadEntry& entry, uint64_t seed) {
  torch::manual_seed(seed);
  nets::Head head = *nets::MakeHead(*nets::NetworkOf(entry.name, {}), {.classes = 7});
  const torch::NoGradGuard guard;
  for (torch::Tensor& parameter : head->parameters()) parameter.uniform_(-0.1, 0.1);
  for (torch::Tensor& statistic : head->buffers()) {
    if (statistic.is_floating_point()) statistic.uniform_(0.5, 1.5);
  }
  head->eval();
  return head;
}

class HeadFileTest : public ::testing::TestWithParam<nets::HeadEntry> {};

TEST_P(HeadFileTest, SavedAndLoadedIsTheSame) {
  const nets::Head head = MakeLively(GetParam(), 1);
  const std::string file = SerialiseSafetensors(StateOf(*head, "", Precision::kFull));
  const auto tensors = ParseSafetensors(file, "head");
  ASSERT_THAT(tensors, IsOk());
  const nets::Head loaded = MakeLively(GetParam(), 2);
  ASSERT_THAT(LoadState(*loaded, *tensors, "", "head"), IsOk());
  std::vector<int64_t> shape = nets::RowShape(GetParam().feature_kind);
  shape.insert(shape.begin(), 2);
  const torch::Tensor x = torch::rand(shape);
  EXPECT_TRUE(torch::equal(head->forward(x), loaded->forward(x)));
}

INSTANTIATE_TEST_SUITE_P(Registry, HeadFileTest, ::testing::ValuesIn(nets::FeatureHeads()),
                         [](const auto& param_info) { return std::string(param_info.param.name); });

TEST(MobileNetV2FileTest, TakesThePretrainedWeightsNameByName) {
  const char* const data = std::getenv("ORCHARD_SHARED_DATA");
  if (data == nullptr) GTEST_SKIP() << "ORCHARD_SHARED_DATA names no folder with weights/";
  const std::filesystem::path file =
      std::filesystem::path(data) / "weights" / "mobilenet_v2.f16.safetensors";
  auto tensors = ReadSafetensors(file);
  ASSERT_THAT(tensors, IsOk());
  std::erase_if(*tensors, [](const auto& entry) {
    return absl::StartsWith(entry.first, "classifier.") ||
           absl::EndsWith(entry.first, "num_batches_tracked");
  });
  EXPECT_THAT(LoadState(*nets::MobileNetV2(), *tensors, "", file.string()), IsOk());
}

}  // namespace
}  // namespace orchard::model
