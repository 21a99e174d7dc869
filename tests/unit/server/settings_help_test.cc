#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/settings.h"
#include "tests/testing/golden.h"
#include "tests/unit/server/app.h"

namespace orchard::server {
namespace {

using testing::App;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(SettingsHelpTest, IsCompleteAndReadable) {
  const App app;
  orchard::testing::ExpectGolden("server/small-app.help", app.settings.Help());
}

TEST(SettingsHelpTest, AnExpertHasNoHttpPort) {
  ProcessConfig config = ExpertProcessConfig();
  Settings settings("orchard-expert", "1", "Scores.");
  DeclareProcess(settings, config);
  EXPECT_THAT(settings.Help(), Not(HasSubstr("--http-listen")));
  EXPECT_THAT(settings.Help(), HasSubstr("[default: 127.0.0.1:8011]"));
  EXPECT_THAT(settings.Help(), HasSubstr("[default: 127.0.0.1:8012]"));
}

}  // namespace
}  // namespace orchard::server
