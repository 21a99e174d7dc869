#include "core/blas_kernels.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace orchard::core {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr CpuFeatures kOld{.avx2 = false, .avx512 = false};
constexpr CpuFeatures kAvx2{.avx2 = true, .avx512 = false};
constexpr CpuFeatures kAvx512{.avx2 = true, .avx512 = true};

BlasKernels Found(const char* core) {
  return {.core = core, .chosen = false, .restarted_from = {}};
}

TEST(AdviseOnKernelsTest, RestartsWithThoseThatTheCpuDeserves) {
  for (const char* core :
       {"Prescott", "PRESCOTT", "Generic", "Nehalem", "Sandybridge", "Barcelona"}) {
    EXPECT_TRUE(AdviseOnKernels(Found(core), kAvx2).restart) << core;
    EXPECT_EQ(AdviseOnKernels(Found(core), kAvx2).better, "HASWELL") << core;
    EXPECT_EQ(AdviseOnKernels(Found(core), kAvx512).better, "SKYLAKEX") << core;
  }
}

TEST(AdviseOnKernelsTest, TellsAndDoesNotOverruleWhatTheEnvironmentNames) {
  BlasKernels kernels = Found("Prescott");
  kernels.chosen = true;
  const KernelAdvice advice = AdviseOnKernels(kernels, kAvx2);
  EXPECT_FALSE(advice.restart);
  EXPECT_TRUE(advice.slow);
  EXPECT_THAT(advice.message,
              AllOf(HasSubstr("\"Prescott\""), HasSubstr("set OPENBLAS_CORETYPE=HASWELL")));
}

TEST(AdviseOnKernelsTest, SaysOnceWhatARestartHasMended) {
  const KernelAdvice advice =
      AdviseOnKernels({.core = "SkylakeX", .chosen = true, .restarted_from = "Prescott"}, kAvx512);
  EXPECT_FALSE(advice.restart);
  EXPECT_FALSE(advice.slow);
  EXPECT_THAT(advice.message,
              AllOf(HasSubstr("\"Prescott\""), HasSubstr("OPENBLAS_CORETYPE=SKYLAKEX")));
}

TEST(AdviseOnKernelsTest, NeverRestartsTwice) {
  for (const bool chosen : {false, true}) {
    const KernelAdvice advice = AdviseOnKernels(
        {.core = "Prescott", .chosen = chosen, .restarted_from = "Prescott"}, kAvx512);
    EXPECT_FALSE(advice.restart);
    EXPECT_TRUE(advice.slow);
    EXPECT_THAT(advice.message, HasSubstr("set OPENBLAS_CORETYPE=SKYLAKEX"));
  }
}

TEST(AdviseOnKernelsTest, IsContentWithAvx2EvenWhereMoreWouldGo) {
  for (const char* core : {"Haswell", "Zen", "Excavator", "SkylakeX", "Cooperlake"}) {
    EXPECT_FALSE(AdviseOnKernels(Found(core), kAvx512).restart) << core;
    EXPECT_THAT(AdviseOnKernels(Found(core), kAvx512).message, IsEmpty()) << core;
  }
}

TEST(AdviseOnKernelsTest, SaysNothingWhereNothingCanBeMended) {
  EXPECT_THAT(AdviseOnKernels(Found("Prescott"), kOld).message, IsEmpty());
  EXPECT_THAT(AdviseOnKernels(Found(""), kAvx512).message, IsEmpty());  // No OpenBLAS.
  // Later than we know of.
  EXPECT_THAT(AdviseOnKernels(Found("Diamondrapids"), kAvx512).message, IsEmpty());
}

}  // namespace
}  // namespace orchard::core
