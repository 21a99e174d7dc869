#include "model/gates.h"

#include <cmath>
#include <random>
#include <span>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "core/digest.h"
#include "core/log_space.h"
#include "core/text.h"
#include "model/encoder.h"
#include "model/internal/networks.h"
#include "model/manifest.h"
#include "model/store.h"
#include "model/torch_state.h"
#include "nets/head.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/model/shared_model.h"

namespace orchard::model {
namespace {

using ::testing::AllOf;
using ::testing::DoubleNear;
using ::testing::HasSubstr;
using testing::IsOk;
using ::testing::Pointwise;
using testing::StatusIs;

core::FeatureBatch BatchOf(size_t rows, std::vector<float> pooled) {
  const auto spec = std::make_shared<const core::ViewSpec>(core::ViewSpec{.row_shape = {1280}});
  return {.rows = rows, .views = {std::make_shared<const core::View>(spec, std::move(pooled))}};
}

std::vector<float> Numbers(size_t rows) {
  std::mt19937 random(3);
  std::uniform_real_distribution<float> uniform(0.0F, 1.0F);
  std::vector<float> numbers;
  for (size_t i = 0; i < rows * 1280; ++i) numbers.push_back(uniform(random));
  return numbers;
}

core::FeatureBatch Features(size_t rows) { return BatchOf(rows, Numbers(rows)); }

class GatesTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    PrepareInferenceThread();
    auto loaded = Gates::Load(SharedModel(), SharedManifest());
    ASSERT_THAT(loaded, IsOk());
    gates_ = loaded->release();
  }
  static void TearDownTestSuite() { delete gates_; }

  static Gates* gates_;
};
Gates* GatesTest::gates_ = nullptr;

/// The logits of one gate, run eagerly.
std::vector<float> EagerLogits(const std::string& prefix, int64_t options,
                               const core::FeatureBatch& features) {
  const v1::GatesPart part = SharedManifest().gates();
  const auto head = nets::MakeHead(*internal::NetworkOf(part.architecture()), {.classes = options});
  EXPECT_THAT(head, IsOk());
  EXPECT_THAT(LoadState(**head, *ReadPart(SharedModel(), part.file()), prefix, "f"), IsOk());
  (*head)->eval();
  const torch::NoGradGuard guard;
  const torch::Tensor logits =
      (*head)->forward(torch::from_blob(const_cast<float*>(features.views[0]->Floats().data()),
                                        {static_cast<int64_t>(features.rows), 1280}));
  const torch::Tensor flat = logits.contiguous();
  return {flat.data_ptr<float>(), flat.data_ptr<float>() + flat.numel()};
}

TEST_F(GatesTest, DividesLogitsByTheTemperaturesAndAddsLogarithms) {
  const core::FeatureBatch features = Features(2);
  const auto gates = gates_->Evaluate(features);
  ASSERT_THAT(gates, IsOk());
  ASSERT_EQ(gates->branches, 2U);
  ASSERT_EQ(gates->domains, 4U);
  const std::vector<float> branch = EagerLogits("branch.", 2, features);
  const std::vector<float> healthy = EagerLogits("domain.healthy.", 3, features);
  for (size_t row = 0; row < 2; ++row) {
    const auto log_branch = core::LogSoftmax(std::span(branch).subspan(row * 2, 2), 1.5);
    const auto log_healthy = core::LogSoftmax(std::span(healthy).subspan(row * 3, 3), 0.9);
    EXPECT_THAT(gates->LogBranch(row), Pointwise(DoubleNear(1e-4), log_branch));
    std::vector<double> log_domain;
    for (const double value : log_healthy) log_domain.push_back(log_branch[0] + value);
    log_domain.push_back(log_branch[1]);  // The one domain of its branch.
    EXPECT_THAT(gates->LogDomain(row), Pointwise(DoubleNear(1e-4), log_domain));
  }
}

TEST_F(GatesTest, DomainsShareOneUnitOfProbability) {
  const auto gates = gates_->Evaluate(Features(3));
  ASSERT_THAT(gates, IsOk());
  for (size_t row = 0; row < 3; ++row) {
    EXPECT_NEAR(core::LogSumExp(gates->LogDomain(row)), 0.0, 1e-12);
    EXPECT_NEAR(core::LogSumExp(gates->LogBranch(row)), 0.0, 1e-12);
    EXPECT_TRUE(std::isfinite(gates->unknown_score[row]));
  }
}

TEST_F(GatesTest, BatchMatesChangeNoBit) {
  constexpr size_t kMost = 16;
  const std::vector<float> all = Numbers(kMost);
  const auto first = [&all](size_t begin, size_t rows) {
    const auto at = all.begin() + static_cast<std::ptrdiff_t>(begin * 1280);
    return BatchOf(rows, {at, at + static_cast<std::ptrdiff_t>(rows * 1280)});
  };
  for (size_t rows = 2; rows <= kMost; ++rows) {
    const auto batch = gates_->Evaluate(first(0, rows));
    ASSERT_THAT(batch, IsOk());
    for (size_t row = 0; row < rows; ++row) {
      const auto alone = gates_->Evaluate(first(row, 1));
      ASSERT_THAT(alone, IsOk());
      EXPECT_TRUE(std::ranges::equal(batch->LogDomain(row), alone->LogDomain(0)))
          << "row " << row << " of " << rows;
      EXPECT_EQ(batch->unknown_score[row], alone->unknown_score[0]);
    }
  }
}

TEST_F(GatesTest, FeaturesOfAWrongWidthAreAnError) {
  core::FeatureBatch features = Features(2);
  features.rows = 3;
  EXPECT_THAT(gates_->Evaluate(features),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("for 3 rows of 1280")));
}

TEST_F(GatesTest, FeaturesThatAreNotFiniteAreAnError) {
  std::vector<float> numbers = Numbers(2);
  numbers[5] = std::nanf("");
  EXPECT_THAT(gates_->Evaluate(BatchOf(2, std::move(numbers))),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("NaN")));
}

TEST(GatesLoadTest, RefusesAnotherEncodersGates) {
  v1::ModelManifest manifest = SharedManifest();
  manifest.mutable_gates()->set_encoder_fingerprint("0123456789abcdef");
  EXPECT_THAT(Gates::Load(SharedModel(), manifest),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("gates.safetensors"), HasSubstr("0123456789abcdef"),
                             HasSubstr(manifest.encoder().fingerprint()))));
}

TEST(GatesLoadTest, RefusesAnArchitectureThatReadsMaps) {
  v1::ModelManifest manifest = SharedManifest();
  manifest.mutable_gates()->mutable_architecture()->set_name("bottleneck_tail");
  manifest.mutable_gates()->mutable_architecture()->clear_arguments();
  EXPECT_THAT(Gates::Load(SharedModel(), manifest),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("another kind of feature")));
}

TEST(GatesLoadTest, RefusesTensorsOfABranchWithOneDomain) {
  // "disease" has one domain and so no gate: its tensors would never be looked at.
  const testing::TempDir dir;
  v1::ModelManifest manifest = SharedManifest();
  std::filesystem::copy(SharedModel(), dir.path(), std::filesystem::copy_options::recursive);
  auto tensors = ReadPart(dir.path(), manifest.gates().file());
  ASSERT_THAT(tensors, IsOk());
  (*tensors)["domain.disease.bias"] = Store({1}, {0}, StoredType::kF32);
  const std::string bytes = SerialiseSafetensors(*tensors);
  ASSERT_THAT(core::WriteFile(dir / "gates.safetensors", bytes), IsOk());
  manifest.mutable_gates()->mutable_file()->set_sha256(core::Sha256Hex(bytes));
  EXPECT_THAT(Gates::Load(dir.path(), manifest),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("domain.disease.bias")));
}

TEST(GatesLoadTest, ModelOfTwoDomainsInTwoBranchesNeedsNoSecondGate) {
  const testing::TempDir dir;
  const auto manifest = testing::WriteTinyModel(dir.path(), {.domains = 2});
  ASSERT_THAT(manifest, IsOk());
  const auto gates = Gates::Load(dir.path(), *manifest);
  ASSERT_THAT(gates, IsOk());
  const auto batch = (*gates)->Evaluate(Features(1));
  ASSERT_THAT(batch, IsOk());
  EXPECT_EQ(batch->log_domain, batch->log_branch);
}

}  // namespace
}  // namespace orchard::model
