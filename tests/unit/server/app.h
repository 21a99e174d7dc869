#pragma once

#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "server/process_config.h"
#include "server/settings.h"

namespace orchard::server::testing {

enum class Mood { kCalm, kWild };

/// A small program with one setting of each kind.
struct App {
  ProcessConfig process = RouterProcessConfig();
  int in_flight = 256;
  size_t max_image_bytes = size_t{16} << 20;
  double tau = 0.5;
  bool allow_torchscript = false;
  Mood mood = Mood::kCalm;
  std::filesystem::path model = "models/default";
  std::vector<std::string> experts;
  std::optional<std::string> note;

  Settings settings{"small-app", "1.2.3", "A program with one setting of each kind."};

  App() {
    DeclareProcess(settings, process);
    settings.Section("Work");
    settings.Add("in-flight", in_flight, "Requests in progress; one more is refused.")
        .Range(1, 65536);
    settings.AddBytes("max-image-bytes", max_image_bytes, "Largest picture.")
        .Range(1024, size_t{1} << 30);
    settings.Add("tau", tau, "Least probability of a domain.").Range(0.0, 1.0);
    settings.Add("allow-torchscript", allow_torchscript, "Whether code in models may run.");
    settings.AddChoice("mood", mood, {{"calm", Mood::kCalm}, {"wild", Mood::kWild}},
                       "How it feels.");
    settings.Add("model", model, "Where the model is.").DefaultText("found from the program");
    settings.Add("expert", experts, "An expert's addresses.")
        .Placeholder("DOMAIN=ADDRESS[,ADDRESS]")
        .Must([](const std::string& text) {
          return text.find('=') == std::string::npos
                     ? absl::InvalidArgumentError("names no domain (DOMAIN=ADDRESS)")
                     : absl::OkStatus();
        });
    settings.Add("note", note, "Anything.");
  }

  using Variables = std::map<std::string, std::string>;

  absl::StatusOr<Settings::Next> Parse(const std::vector<std::string>& arguments,
                                       const Variables& variables = {}) {
    return settings.Parse(
        arguments,
        [&variables](const char* name) -> const char* {
          const auto entry = variables.find(name);
          return entry == variables.end() ? nullptr : entry->second.c_str();
        },
        out);
  }

  std::ostringstream out;
};

/// Writes a configuration file that lives as long as the test's folder.
inline std::string WriteConfig(const std::string& text) {
  const ::testing::TestInfo& test = *::testing::UnitTest::GetInstance()->current_test_info();
  std::string name = ::testing::TempDir() + "/settings_" + test.name() + ".toml";
  std::ofstream(name) << text;
  return name;
}

}  // namespace orchard::server::testing
