/// Published weights in our modules give the answers that their README states. Skipped where there
/// are no weights: ORCHARD_SHARED_DATA names a folder with weights/.

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "core/text.h"
#include "model/safetensors.h"
#include "model/torch_state.h"
#include "nets/backbones/backbone.h"
#include "tests/testing/status_matchers.h"
#include "vision/decode.h"

namespace orchard::model {
namespace {

using nets::Backbone;
using nets::BackboneKind;
using nets::BackboneOptions;
using orchard::testing::IsOk;

std::filesystem::path Folder() {
  const char* const data = std::getenv("ORCHARD_SHARED_DATA");
  return data == nullptr ? std::filesystem::path() : std::filesystem::path(data) / "weights";
}

/// The lines of a table behind its head, in cells.
std::vector<std::vector<std::string>> Table(const std::filesystem::path& file) {
  std::vector<std::vector<std::string>> rows;
  const std::string text = *core::ReadFile(file);
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    rows.push_back(absl::StrSplit(line, '\t'));
  }
  rows.erase(rows.begin());
  return rows;
}

double Number(const std::string& cell) {
  double value = std::nan("");
  EXPECT_TRUE(absl::SimpleAtod(cell, &value)) << cell;
  return value;
}

/// The centre `side` × `side` of a picture as RGB 0..255, float [1, 3, side, side].
torch::Tensor Centre(const std::filesystem::path& file, int64_t side) {
  auto image = vision::Decode(*core::ReadFile(file), {}, /*enough=*/0);
  EXPECT_THAT(image, IsOk());
  const auto height = static_cast<int64_t>(image->height);
  const auto width = static_cast<int64_t>(image->width);
  const torch::Tensor pixels =
      torch::from_blob(image->rgb.data(), {height, width, 3}, torch::kUInt8)
          .permute({2, 0, 1})
          .to(torch::kFloat32);
  return pixels.narrow(1, (height - side) / 2, side)
      .narrow(2, (width - side) / 2, side)
      .unsqueeze(0)
      .contiguous();
}

Backbone Load(const BackboneOptions& options, const std::string& file) {
  Backbone backbone = *nets::MakeBackbone(options);
  auto tensors = ReadSafetensors(Folder() / file);
  EXPECT_THAT(tensors, IsOk());
  std::erase_if(*tensors, [](const auto& entry) {
    return absl::EndsWith(entry.first, "num_batches_tracked");
  });
  EXPECT_THAT(LoadState(*backbone, *tensors, "", file), IsOk());
  backbone->eval();
  return backbone;
}

struct LiteCase {
  std::string name;
  BackboneKind kind;
  int64_t side;  ///< of the reference's pictures
  size_t every;  ///< picture that is looked at: Lite2 costs twice as much
  int64_t zero_side, zero_class;
  double zero_logit;
};

class PretrainedLiteTest : public ::testing::TestWithParam<LiteCase> {};

TEST_P(PretrainedLiteTest, GivesTheAnswersOfTheReference) {
  if (Folder().empty()) GTEST_SKIP() << "ORCHARD_SHARED_DATA names no folder with weights/";
  const LiteCase& c = GetParam();
  const Backbone backbone = Load({.kind = c.kind, .classes = 1000}, c.name + ".f16.safetensors");
  const torch::NoGradGuard guard;
  const torch::Tensor zero = backbone->forward(torch::zeros({1, 3, c.zero_side, c.zero_side}))[0];
  EXPECT_EQ(zero.argmax().item<int64_t>(), c.zero_class);
  EXPECT_NEAR(zero.max().item<double>(), c.zero_logit, 0.006);
  size_t seen = 0;
  for (const auto& row : Table(Folder() / "imagenet_check" / "reference_efficientnet.tsv")) {
    if (row.at(0) != c.name || seen++ % c.every != 0) continue;
    const torch::Tensor x = (Centre(Folder() / "imagenet_check" / row.at(1), c.side) - 127) / 128;
    const torch::Tensor p = backbone->forward(x).softmax(1)[0];
    const auto top = static_cast<int64_t>(Number(row.at(3)));
    EXPECT_EQ(p.argmax().item<int64_t>(), top) << row.at(1);
    EXPECT_NEAR(p[top].item<double>(), Number(row.at(4)), 0.01) << row.at(1);
  }
  EXPECT_EQ(seen, 53U);
}

INSTANTIATE_TEST_SUITE_P(
    Networks, PretrainedLiteTest,
    ::testing::Values(
        LiteCase{"efficientnet_lite0", BackboneKind::kEfficientNetLite0, 224, 1, 224, 649, 0.117},
        LiteCase{"efficientnet_lite2", BackboneKind::kEfficientNetLite2, 256, 3, 260, 473, 3.48}),
    [](const auto& param_info) { return param_info.param.name; });

TEST(PretrainedVgg16Test, GivesTheFeaturesOfTheReference) {
  if (Folder().empty()) GTEST_SKIP() << "ORCHARD_SHARED_DATA names no folder with weights/";
  const Backbone vgg = Load({.kind = BackboneKind::kVgg16}, "vgg16_features.f16.safetensors");
  const torch::NoGradGuard guard;
  const torch::Tensor zero = vgg->forward(torch::zeros({1, 3, 224, 224}))[0];
  EXPECT_NEAR(zero.norm().item<double>(), 11.144, 0.01);
  EXPECT_EQ(zero.argmax().item<int64_t>(), 155);
  EXPECT_NEAR(zero.max().item<double>(), 9.299, 0.01);
  const torch::Tensor mean = torch::tensor({123.68F, 116.779F, 103.939F}).view({1, 3, 1, 1});
  const auto rows = Table(Folder() / "imagenet_check" / "reference_vgg16.tsv");
  EXPECT_EQ(rows.size(), 53U);
  for (size_t i = 0; i < rows.size(); i += 13) {  // 15 G multiply-adds each.
    const auto& row = rows[i];
    const torch::Tensor v =
        vgg->forward(Centre(Folder() / "imagenet_check" / row.at(0), 224) - mean)[0];
    const double norm = Number(row.at(1));
    EXPECT_NEAR(v.norm().item<double>(), norm, 0.005 * norm) << row.at(0);
    EXPECT_EQ(v.argmax().item<int64_t>(), static_cast<int64_t>(Number(row.at(2)))) << row.at(0);
    for (int64_t channel = 0; channel < 4; ++channel) {
      EXPECT_NEAR(v[channel].item<double>(), Number(row.at(static_cast<size_t>(4 + channel))),
                  0.005 * norm)
          << row.at(0);
    }
  }
}

}  // namespace
}  // namespace orchard::model
