#include "model/loaded_model.h"

#include <filesystem>
#include <string>
#include <tuple>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/text.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/model/shared_model.h"

namespace orchard::model {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;
using testing::TinyFault;
using testing::TinyPart;

TEST(LoadedModelTest, HoldsAllThatARouterNeeds) {
  const auto model = LoadRouterModel(SharedModel(), /*max_batch=*/2);
  ASSERT_THAT(model, IsOk());
  EXPECT_EQ(model->manifest.name(), "tiny");
  EXPECT_EQ(model->manifest.experts_size(), 4);
  EXPECT_NE(model->encoder, nullptr);
  EXPECT_NE(model->gates, nullptr);
}

std::vector<std::string> DomainsOf(const std::vector<std::unique_ptr<ExpertHead>>& experts) {
  std::vector<std::string> domains;
  for (const auto& expert : experts) domains.push_back(expert->part().domain());
  return domains;
}

TEST(LoadedModelTest, ExpertsComeInTheModelsOrder) {
  const auto all = LoadExperts(SharedModel(), {});
  ASSERT_THAT(all, IsOk());
  EXPECT_THAT(DomainsOf(*all), ::testing::ElementsAre("fruit", "vegetable", "leaf", "grain"));
  const auto some = LoadExperts(SharedModel(), {"grain", "vegetable"});
  ASSERT_THAT(some, IsOk());
  EXPECT_THAT(DomainsOf(*some), ::testing::ElementsAre("vegetable", "grain"));
}

TEST(LoadedModelTest, NamesADomainThatIsNotThere) {
  EXPECT_THAT(LoadExperts(SharedModel(), {"fruit", "moon"}),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr("\"moon\""), HasSubstr("fruit, vegetable"))));
}

TEST(LoadedModelTest, ReadsTheManifestNoMoreOnceItIsGiven) {
  const testing::TempDir dir;
  std::filesystem::copy(SharedModel(), dir.path(), std::filesystem::copy_options::recursive);
  const v1::ModelManifest manifest = *ReadManifest(dir.path());
  std::filesystem::remove(dir / "manifest.json");  // Exchanged meanwhile, so to say.
  EXPECT_THAT(LoadRouterModel(dir.path(), manifest, /*max_batch=*/1), IsOk());
  EXPECT_THAT(LoadExperts(dir.path(), manifest, {}), IsOk());
}

TEST(TinyModelTest, IsTheSameBytesForTheSameSeedAndAnotherEncoderForAnother) {
  const testing::TempDir again;
  const testing::TempDir other;
  ASSERT_THAT(testing::WriteTinyModel(again.path()), IsOk());
  EXPECT_EQ(*core::ReadFile(again / "manifest.json"),
            *core::ReadFile(SharedModel() / "manifest.json"));
  const auto manifest = testing::WriteTinyModel(other.path(), {.domains = 3, .seed = 2});
  ASSERT_THAT(manifest, IsOk());
  EXPECT_NE(manifest->encoder().fingerprint(), SharedManifest().encoder().fingerprint());
  EXPECT_EQ(manifest->experts_size(), 3);
}

struct FaultCase {
  TinyFault fault;
  std::string name;
  absl::StatusCode code;
  std::string reason;
};

/// Every fault in every part. The file that is named is the part's, or the manifest.
class BrokenModelTest : public ::testing::TestWithParam<std::tuple<TinyPart, FaultCase>> {};

TEST_P(BrokenModelTest, IsRefusedWithFileAndReason) {
  const auto& [part, fault] = GetParam();
  const BrokenModel model(part, fault.fault);
  const absl::Status status = part == TinyPart::kFirstExpert
                                  ? LoadExperts(model.path(), {"fruit"}).status()
                                  : LoadRouterModel(model.path(), 1).status();
  std::string file = "encoder.safetensors";
  if (part == TinyPart::kGates) file = "gates.safetensors";
  if (part == TinyPart::kFirstExpert) file = "experts/fruit.safetensors";
  if (fault.fault == TinyFault::kOtherEncoder) {
    // An encoder's fingerprint is its file's; the others disagree with it inside the manifest.
    file = "manifest.json";
  }
  EXPECT_THAT(status, StatusIs(fault.code, AllOf(HasSubstr((model.path() / file).string()),
                                                 HasSubstr(fault.reason))));
}

using Code = absl::StatusCode;

std::string NameOf(const ::testing::TestParamInfo<std::tuple<TinyPart, FaultCase>>& param) {
  const char* const parts[] = {"Encoder", "Gates", "Expert"};
  return parts[static_cast<size_t>(std::get<0>(param.param))] + std::get<1>(param.param).name;
}

INSTANTIATE_TEST_SUITE_P(
    Table, BrokenModelTest,
    ::testing::Combine(
        ::testing::Values(TinyPart::kEncoder, TinyPart::kGates, TinyPart::kFirstExpert),
        ::testing::Values(
            FaultCase{TinyFault::kMissingFile, "MissingFile", Code::kNotFound, "no such file"},
            FaultCase{TinyFault::kTruncatedFile, "TruncatedFile", Code::kInvalidArgument,
                      "leave the file"},
            FaultCase{TinyFault::kWrongChecksum, "WrongChecksum", Code::kInvalidArgument,
                      "SHA-256 is"},
            FaultCase{TinyFault::kMissingTensor, "MissingTensor", Code::kInvalidArgument,
                      "is missing"},
            FaultCase{TinyFault::kAdditionalTensor, "AdditionalTensor", Code::kInvalidArgument,
                      "\"stranger\""},
            FaultCase{TinyFault::kWrongShape, "WrongShape", Code::kInvalidArgument, "must be ["},
            FaultCase{TinyFault::kNotFinite, "NotFinite", Code::kInvalidArgument,
                      "NaN or an infinity"},
            FaultCase{TinyFault::kUnknownArchitecture, "UnknownArchitecture",
                      Code::kInvalidArgument, "\"no_such_net\"; known: "},
            FaultCase{TinyFault::kOtherEncoder, "OtherEncoder", Code::kInvalidArgument,
                      "0123456789abcdef"})),
    NameOf);

}  // namespace
}  // namespace orchard::model
