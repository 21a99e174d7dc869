#include "router/config.h"

#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <ostream>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

/// Each setting of orchard-router, by each of the three ways to give it.

namespace orchard::router {
namespace {

using orchard::testing::IsOk;
using orchard::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using namespace std::chrono_literals;

struct Given {
  std::vector<std::string> flags;
  std::map<std::string, std::string> variables;

  absl::Status Into(Config& config) const {
    server::Settings settings("orchard-router", "1", "Routes.");
    Declare(settings, config);
    std::ostringstream out;
    const auto environment = [this](const char* name) -> const char* {
      const auto found = variables.find(name);
      return found == variables.end() ? nullptr : found->second.c_str();
    };
    return settings.Parse(flags, environment, out).status();
  }
};

struct SettingCase {
  std::string key;
  std::string text;
  std::string toml;  ///< the value in the file
  std::function<bool(const Config&)> holds;
};

void PrintTo(const SettingCase& setting, std::ostream* out) { *out << setting.key; }

class RouterSettingTest : public ::testing::TestWithParam<SettingCase> {
 protected:
  static void ExpectHeld(const Given& given) {
    Config config;
    EXPECT_FALSE(GetParam().holds(config)) << "the default already";
    ASSERT_THAT(given.Into(config), IsOk());
    EXPECT_TRUE(GetParam().holds(config));
  }

  static std::string Variable() {
    std::string name = "ORCHARD_";
    for (const char letter : GetParam().key) {
      name += letter == '-' ? '_' : static_cast<char>(std::toupper(letter));
    }
    return name;
  }
};

TEST_P(RouterSettingTest, IsAFlag) {
  ExpectHeld({.flags = {"--" + GetParam().key, GetParam().text}, .variables = {}});
}

TEST_P(RouterSettingTest, IsAVariable) {
  ExpectHeld({.flags = {}, .variables = {{Variable(), GetParam().text}}});
}

TEST_P(RouterSettingTest, IsAKeyOfTheFile) {
  const orchard::testing::TempDir folder;
  const std::string file = folder / "router.toml";
  std::ofstream(file) << GetParam().key << " = " << GetParam().toml << "\n";
  ExpectHeld({.flags = {"--config", file}, .variables = {}});
}

/// A text that stands in quotes in the file.
SettingCase Text(const std::string& key, const std::string& text,
                 std::function<bool(const Config&)> holds) {
  return {.key = key, .text = text, .toml = "\"" + text + "\"", .holds = std::move(holds)};
}

SettingCase Number(const std::string& key, const std::string& text,
                   std::function<bool(const Config&)> holds) {
  return {.key = key, .text = text, .toml = text, .holds = std::move(holds)};
}

INSTANTIATE_TEST_SUITE_P(
    Table, RouterSettingTest,
    ::testing::Values(
        Text("listen", "127.0.0.1:0", [](const Config& c) { return c.process.listen.port == 0; }),
        Text("http-listen", "127.0.0.1:0",
             [](const Config& c) { return c.process.http_listen->port == 0; }),
        Text("metrics-listen", "127.0.0.1:0",
             [](const Config& c) { return c.process.metrics_listen.port == 0; }),
        Text("log-level", "error",
             [](const Config& c) { return c.process.log_level == server::LogLevel::kError; }),
        Text("drain-delay", "3s", [](const Config& c) { return c.process.drain_delay == 3s; }),
        Text("drain-timeout", "2min",
             [](const Config& c) { return c.process.drain_timeout == 2min; }),
        Text("model", "/models/a",
             [](const Config& c) { return c.models == std::vector<std::string>{"/models/a"}; }),
        Text("default-policy", "top_k",
             [](const Config& c) { return c.default_policy == moe::PolicyKind::kTopK; }),
        Text("expert", "flower=a:1,b:2",
             [](const Config& c) {
               return c.experts == std::vector<std::string>{"flower=a:1,b:2"};
             }),
        Text("dns-interval", "250ms", [](const Config& c) { return c.dns_interval == 250ms; }),
        Text("cold-start-wait", "30s", [](const Config& c) { return c.cold_start_wait == 30s; }),
        Number("expert-subset", "20", [](const Config& c) { return c.expert_subset == 20; }),
        Text("hedge", "off", [](const Config& c) { return !c.hedge; }),
        Text("max-image-bytes", "2MiB",
             [](const Config& c) { return c.max_image_bytes == 2 << 20; }),
        Number("max-pixels", "1000", [](const Config& c) { return c.max_pixels == 1000; }),
        Text("max-decode-bytes", "64MiB",
             [](const Config& c) { return c.max_decode_bytes == 64 << 20; }),
        SettingCase{.key = "formats",
                    .text = "bmp",
                    .toml = "[\"bmp\"]",
                    .holds = [](const Config& c) { return c.formats.front() == "bmp"; }},
        Number("in-flight", "7", [](const Config& c) { return c.in_flight == 7; }),
        Number("queue", "7", [](const Config& c) { return c.queue == 7; }),
        Text("in-flight-bytes", "2MiB",
             [](const Config& c) { return c.in_flight_bytes == 2 << 20; }),
        Number("decode-workers", "77", [](const Config& c) { return c.decode_workers == 77; }),
        Number("encode-workers", "77", [](const Config& c) { return c.encode_workers == 77; }),
        Text("encoder-precision", "fp32",
             [](const Config& c) { return c.encoder_precision == model::EncoderPrecision::kFp32; }),
        Number("max-batch", "7", [](const Config& c) { return c.max_batch == 7; }),
        Number("stream-in-flight", "7", [](const Config& c) { return c.stream_in_flight == 7; }),
        Text("default-deadline", "250ms",
             [](const Config& c) { return c.default_deadline == 250ms; }),
        Number("target-utilisation", "0.5",
               [](const Config& c) { return c.target_utilisation == 0.5; }),
        Text("demand-window", "1min", [](const Config& c) { return c.demand_window == 1min; }),
        Text("router-peers", "dns:///routers:8001",
             [](const Config& c) { return c.router_peers == "dns:///routers:8001"; })),
    [](const auto& param_info) {
      std::string name = param_info.param.key;
      std::erase(name, '-');
      return name;
    });

TEST(RouterSettingsTest, RepeatableOnesAreSeparatedInAVariable) {
  Config config;
  ASSERT_THAT((Given{.flags = {},
                     .variables = {{"ORCHARD_FORMATS", "jpeg;bmp"},
                                   {"ORCHARD_EXPERT", "flower=a:1;rice=b:2"}}}
                   .Into(config)),
              IsOk());
  EXPECT_THAT(config.formats, ElementsAre("jpeg", "bmp"));
  EXPECT_THAT(config.experts, ElementsAre("flower=a:1", "rice=b:2"));
}

TEST(RouterSettingsTest, ExpertsAreReadAgainFromTheFileAsItIsNow) {
  const orchard::testing::TempDir folder;
  const std::string file = folder / "router.toml";
  const auto nothing = [](const char*) -> const char* { return nullptr; };
  std::ofstream(file) << "expert = [\"flower=a:1\"]\n";
  EXPECT_THAT(*ReadExperts({"--config", file}, nothing), ElementsAre("flower=a:1"));
  std::ofstream(file) << "expert = [\"flower=b:2\", \"rice=dns:///c:3\"]\n";
  EXPECT_THAT(*ReadExperts({"--config", file}, nothing),
              ElementsAre("flower=b:2", "rice=dns:///c:3"));
  std::ofstream(file) << "expert = [\"flower\"]\n";
  EXPECT_THAT(ReadExperts({"--config", file}, nothing),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("flower")));
}

TEST(RouterSettingsTest, AllFaultsAreSaidAtOnce) {
  Config config;
  EXPECT_THAT((Given{.flags = {"--formats", "gif", "--expert", "flower", "--in-flight", "0",
                               "--default-policy", "pinned"},
                     .variables = {}}
                   .Into(config)),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("\"gif\" is not one of jpeg, png, webp, bmp, ppm"),
                             HasSubstr("\"flower\" is not [MODEL/]DOMAIN=TARGET[,TARGET]"),
                             HasSubstr("from 1 to 65536"), HasSubstr("\"pinned\" is not one of"))));
}

TEST(RouterSettingsTest, AModelMayBeCalledOtherwise) {
  const orchard::testing::TempDir folder;
  for (const char* name : {"a", "b=c"}) {
    std::filesystem::create_directories(folder / name);
    std::ofstream(folder / name / "manifest.json") << "{}";
  }
  const std::string a = (folder / "a").string();
  const std::string odd = (folder / "b=c").string();  // The '=' stands behind a '/'.
  Config config;
  ASSERT_THAT(
      (Given{.flags = {"--model", a, "--model", "signs=" + a, "--model", odd}, .variables = {}}
           .Into(config)),
      IsOk());
  const auto engine = EngineConfigOf(config);
  ASSERT_THAT(engine, IsOk());
  ASSERT_EQ(engine->models.size(), 3U);
  EXPECT_EQ(engine->models[0].name, "");
  EXPECT_EQ(engine->models[1].name, "signs");
  EXPECT_EQ(engine->models[1].version_dir, a);
  EXPECT_EQ(engine->models[2].name, "");
  EXPECT_EQ(engine->models[2].version_dir, odd);
}

TEST(RouterSettingsTest, AModelsNameIsCheckedBeforeItsFolder) {
  for (const auto& [text, fault] :
       {std::pair("a b=/x", "calls the model \"a b\""), std::pair("signs=", "names no folder")}) {
    Config config;
    EXPECT_THAT((Given{.flags = {"--model", text}, .variables = {}}.Into(config)),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(fault)));
  }
}

constexpr std::uint64_t kMiB = 1 << 20;

TEST(RouterSettingsTest, DefaultsOfDecodingFitTheMemory) {
  for (const std::uint64_t mib : {128, 256, 512, 700, 1024, 16384}) {
    SCOPED_TRACE(mib);
    const Config config({.cpus = 4.0, .memory = mib * kMiB});
    EXPECT_EQ(config.max_decode_bytes, std::min<std::uint64_t>(256, mib / 4) * kMiB);
    EXPECT_EQ(MemoryWarning(config), "");
  }
  const Config unlimited({.cpus = 4.0, .memory = {}});
  EXPECT_EQ(unlimited.max_decode_bytes, 256 * kMiB);
  EXPECT_EQ(MemoryWarning(unlimited), "");
}

TEST(RouterSettingsTest, DecodersThatMayNotFitTheMemoryAreWarnedOf) {
  Config config({.cpus = 4.0, .memory = 2048 * kMiB});
  ASSERT_THAT((Given{.flags = {"--decode-workers", "4"}, .variables = {}}.Into(config)), IsOk());
  EXPECT_THAT(MemoryWarning(config),
              AllOf(HasSubstr("--decode-workers of 4 may take 1.0 GiB"),
                    HasSubstr("--max-decode-bytes 256.0 MiB"), HasSubstr("quarter of the 2.0 GiB"),
                    HasSubstr("is 512.0 MiB")));
  Config costly({.cpus = 4.0, .memory = 512 * kMiB});
  ASSERT_THAT((Given{.flags = {"--max-decode-bytes", "256MiB"}, .variables = {}}.Into(costly)),
              IsOk());
  EXPECT_THAT(MemoryWarning(costly), HasSubstr("--decode-workers of 1 may take 256.0 MiB"));
  Config small({.cpus = 4.0, .memory = 2048 * kMiB});
  ASSERT_THAT(
      (Given{.flags = {"--decode-workers", "4", "--max-decode-bytes", "128MiB"}, .variables = {}}
           .Into(small)),
      IsOk());
  EXPECT_EQ(MemoryWarning(small), "");
}

TEST(RouterSettingsTest, WhatAPictureWaitsForIsRememberedAsLong) {
  Config config;
  EXPECT_THAT((Given{.flags = {"--cold-start-wait", "45s"}, .variables = {}}.Into(config)),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("longer (45s)"), HasSubstr("remembered (30s)"),
                             HasSubstr("raise --demand-window"))));
  EXPECT_THAT(
      (Given{.flags = {"--cold-start-wait", "45s", "--demand-window", "45s"}, .variables = {}}.Into(
          config)),
      IsOk());
}

}  // namespace
}  // namespace orchard::router
