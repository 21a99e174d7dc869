#include <cstdint>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/encoder.h"
#include "model/expert_head.h"
#include "model/loaded_model.h"
#include "model/manifest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/tiny_vit.h"

/// An expert that looks at the picture. Its answers against the network called directly:
/// tests/integration/router/pictures_test.cc.

namespace orchard::model {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

class PictureHeadTest : public ::testing::Test {
 protected:
  void SetUp() override {
    PrepareInferenceThread();
    auto manifest = testing::WriteTinyVit(dir_.path());
    ASSERT_THAT(manifest, IsOk());
    manifest_ = *std::move(manifest);
  }

  static std::vector<float> Pictures(size_t rows) {
    std::vector<float> pixels(rows * 32 * 32 * 3);
    for (size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<float>(i * 37 % 256);
    return pixels;
  }

  const testing::TempDir dir_;
  v1::ModelManifest manifest_;
};

TEST_F(PictureHeadTest, CountsWhatItsLayersDoFromWhenItServes) {
  auto heads = LoadExperts(dir_.path(), {});
  ASSERT_THAT(heads, IsOk());
  const ExpertHead& head = *heads->front();
  EXPECT_EQ(head.row_width(), 32U * 32 * 3);
  EXPECT_EQ(head.feature_kind(), core::FeatureKind::kImage);
  EXPECT_TRUE(head.LayerLoads().empty()) << "what warms it up is nobody's picture";
  ASSERT_THAT(head.Score(Pictures(3), 3), IsOk());
  ASSERT_THAT(head.Score(Pictures(1), 1), IsOk());
  const std::vector<LayerLoad> loads = head.LayerLoads();
  ASSERT_EQ(loads.size(), static_cast<size_t>(testing::kTinyVitLayers));
  for (const LayerLoad& load : loads) {
    EXPECT_EQ(load.pictures, 4U);
    EXPECT_EQ(load.sums.tokens, 4.0 * 17);
    EXPECT_EQ(load.sums.top_k, 2U);
    double picks = 0.0;
    for (const double of_expert : load.sums.picks) picks += of_expert;
    EXPECT_EQ(picks, 4.0 * 17 * 2);
    double sum = 0.0;
    for (const double share : load.Shares()) sum += share;
    EXPECT_NEAR(sum, 1.0, 1e-12);
  }
}

TEST_F(PictureHeadTest, ThePictureMustHaveTheNetworksSize) {
  manifest_.mutable_experts(0)->mutable_preprocessing()->set_crop(64);
  EXPECT_THAT(
      ExpertHead::Load(dir_.path(), manifest_, "sign"),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("preprocessing.crop is 64, and the network reads pictures of 32")));
}

TEST_F(PictureHeadTest, ANetworkThatCanNotBeIsRefusedByName) {
  v1::VitMoe& vit =
      *manifest_.mutable_experts(0)->mutable_architecture()->mutable_network()->mutable_vit_moe();
  vit.set_heads(3);
  EXPECT_THAT(ExpertHead::Load(dir_.path(), manifest_, "sign"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       ::testing::AllOf(HasSubstr("sign.safetensors"),
                                        HasSubstr("a divisor of the width 16"))));
  vit.set_heads(2);
  vit.mutable_router()->set_kind(v1::TokenRouter::V_MOE_BPR);
  EXPECT_THAT(ExpertHead::Load(dir_.path(), manifest_, "sign"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("can't be served")));
}

TEST_F(PictureHeadTest, ARouterNeedsNothingOfItButTheExpert) {
  const auto model = LoadRouterModel(dir_.path(), 4);
  ASSERT_THAT(model, IsOk());
  EXPECT_EQ(model->encoder, nullptr);
  EXPECT_EQ(model->gates, nullptr);
}

}  // namespace
}  // namespace orchard::model
