#include "training/onnx/onnx.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/text.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/tiny_model_folder.h"
#include "tests/testing/tiny_vit.h"

namespace orchard::training {
namespace {

namespace fs = std::filesystem;
using ::orchard::testing::IsOk;
using ::orchard::testing::SharedTinyModel;
using ::orchard::testing::StatusIs;
using ::orchard::testing::TempDir;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(ExportOnnxTest, WritesEncoderGatesAndEveryExpert) {
  const TempDir dir;
  const auto text = ExportOnnx(SharedTinyModel().path(), dir / "out", /*overwrite=*/false);
  ASSERT_THAT(text, IsOk());
  EXPECT_THAT(*text, AllOf(HasSubstr("encoder.onnx"), HasSubstr("gates.onnx")));
  EXPECT_TRUE(fs::exists(dir / "out/encoder.onnx"));
  EXPECT_TRUE(fs::exists(dir / "out/gates.onnx"));
  for (const std::string& domain : SharedTinyModel().domains()) {
    EXPECT_TRUE(fs::exists(dir / "out/experts" / (domain + ".onnx"))) << domain;
  }
  EXPECT_THAT(ExportOnnx(SharedTinyModel().path(), dir / "out", /*overwrite=*/false).status(),
              StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("--overwrite")));
  EXPECT_THAT(ExportOnnx(SharedTinyModel().path(), dir / "out", /*overwrite=*/true), IsOk());
}

TEST(ExportOnnxTest, SaysWhichModelIsMissing) {
  const TempDir dir;
  EXPECT_THAT(ExportOnnx(dir / "nothing", dir / "out", false).status(),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("nothing")));
}

TEST(GraphTest, ReadsAModelAndItsFilesAlike) {
  const TempDir dir;
  ASSERT_THAT(testing::WriteTinyVit(dir / "1"), IsOk());
  const auto model = GraphText({.what = dir / "1"});
  ASSERT_THAT(model, IsOk());
  EXPECT_THAT(*model, AllOf(HasSubstr("experts/sign: from pixels [batch, 32, 32, 3] to "
                                      "log_probabilities [batch, 5], energy [batch]"),
                            HasSubstr("blocks.1.attn.qkv"), HasSubstr("run on every token")));
  ASSERT_THAT(ExportOnnx(dir / "1", dir / "out", /*overwrite=*/false), IsOk());
  const auto file = GraphText({.what = dir / "out/experts/sign.onnx"});
  ASSERT_THAT(file, IsOk());
  EXPECT_EQ(model->substr(0, file->size()), *file);
}

TEST(GraphTest, ReadsARecipeBeforeAnythingIsTrained) {
  const TempDir dir;
  ASSERT_THAT(core::WriteFile(dir / "r.textproto", R"(
      name: "r"
      domains { name: "apple" branch: "healthy" expert { mlp { hidden: 32 } } }
      domains { name: "rice" branch: "diseased" expert { linear {} } }
      data { validation_share: 0.1 test_share: 0.1 }
      optimisation { epochs: 1 batch: 8 encoder_rate: 0.001 head_rate: 0.001 }
      masked_moe { losses { branch: 1 domain: 1 expert: 1 } frozen_blocks: 19 })"),
              IsOk());
  const auto text = GraphText({.what = dir / "r.textproto", .classes = 6});
  ASSERT_THAT(text, IsOk());
  EXPECT_THAT(*text, AllOf(HasSubstr("encoder: from pixels [batch, 224, 224, 3]"),
                           HasSubstr("gates/branch: "), Not(HasSubstr("gates/domain.")),
                           // 1281 · 32 + 33 · 6, and 1281 · 6
                           HasSubstr("41190 parameters"), HasSubstr("7686 parameters")));
}

TEST(GraphTest, RefusesAFileThatIsNoModel) {
  const TempDir dir;
  ASSERT_THAT(core::WriteFile(dir / "x.onnx", "no model"), IsOk());
  EXPECT_THAT(GraphText({.what = dir / "x.onnx"}).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("x.onnx: is no ONNX model")));
}

}  // namespace
}  // namespace orchard::training
