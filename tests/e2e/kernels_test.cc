// The programs on an OpenBLAS that has taken its oldest kernels, by order or by mistake.

#include <csignal>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/blas_kernels.h"
#include "tests/e2e/finished.h"
#include "tests/testing/service_command.h"
#include "tests/testing/tiny_model_folder.h"

namespace orchard {
namespace {

using testing::BinaryPath;
using testing::ChildProcess;
using testing::Count;
using ::testing::HasSubstr;
using ::testing::Not;

class KernelsTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!core::ThisCpu().avx2) GTEST_SKIP() << "a CPU without AVX2 deserves no better kernels";
  }

  /// What the program says on stderr from its start to its end.
  std::string Said(const std::vector<std::string>& environment) const {
    const std::string program = GetParam();
    if (program == "orchard-train") {
      const testing::Finished run = testing::RunToTheEnd(
          {BinaryPath(program), "import", "--weights", "/nowhere"}, environment);
      EXPECT_EQ(run.code, 1) << run.err;
      return run.err;
    }
    ChildProcess child(testing::InEnvironment(
        environment, testing::ServiceCommand(program, testing::SharedTinyModel().path(),
                                             {"--drain-delay", "0s"})));
    EXPECT_THAT(child.ReadOutUntil("ready"), HasSubstr(program));
    EXPECT_EQ(child.ListedName(), program) << "restarted under another name";
    child.Signal(SIGTERM);
    std::string said = child.RestOfErr();
    EXPECT_EQ(child.Wait(), 0) << said;
    return said;
  }
};

TEST_P(KernelsTest, OldOnesByOrderAreToldOnceWithTheRemedy) {
  const std::string said = Said({"OPENBLAS_CORETYPE=PRESCOTT"});
  EXPECT_EQ(Count(said, "OpenBLAS"), 1U) << said;
  EXPECT_THAT(said, HasSubstr("Prescott"));
  EXPECT_THAT(said, HasSubstr(core::ThisCpu().avx512 ? "set OPENBLAS_CORETYPE=SKYLAKEX"
                                                     : "set OPENBLAS_CORETYPE=HASWELL"));
}

TEST_P(KernelsTest, NewOnesByOrderAreNoNews) {
  EXPECT_THAT(Said({"OPENBLAS_CORETYPE=HASWELL"}), Not(HasSubstr("OpenBLAS")));
}

TEST_P(KernelsTest, LeftToItselfAProgramNeverStaysOnOldOnes) {
  EXPECT_THAT(Said({"-u", "OPENBLAS_CORETYPE"}), Not(HasSubstr("older than this CPU")));
}

TEST_P(KernelsTest, OldOnesByMistakeAreMendedByOneRestart) {
  if (std::string(ORCHARD_SANITIZE) != "") GTEST_SKIP() << "sanitizers want to be loaded first";
  const std::string preload = "LD_PRELOAD=" ORCHARD_OLD_KERNELS;
  const std::string mended = Said({"-u", "OPENBLAS_CORETYPE", preload});
  EXPECT_EQ(Count(mended, "started again"), 1U) << mended;
  EXPECT_EQ(Count(mended, "OpenBLAS"), 1U) << mended;
  // One that a restart does not help says so, and does not try for ever.
  const std::string stubborn = Said({"-u", "OPENBLAS_CORETYPE", preload, "STUBBORN_KERNELS=1"});
  EXPECT_EQ(Count(stubborn, "set OPENBLAS_CORETYPE"), 1U) << stubborn;
}

INSTANTIATE_TEST_SUITE_P(Programs, KernelsTest,
                         ::testing::Values("orchard-router", "orchard-expert", "orchard-train"),
                         [](const auto& param_info) {
                           return std::string(param_info.param).substr(sizeof("orchard-") - 1);
                         });

}  // namespace
}  // namespace orchard
