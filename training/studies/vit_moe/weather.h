#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>
#include <torch/types.h>

#include "moe/specialisation.h"
#include "nets/vit_moe/vit_moe.h"
#include "orchard/training/v1/recipe.pb.h"
#include "training/loop/standardise.h"
#include "training/measure/classification.h"
#include "training/studies/vit_moe/answers.h"
#include "training/studies/vit_moe/error_signals.h"
#include "vision/weather.h"

/// \file
/// What becomes of a network's answers when the same pictures are seen through rain, fog and snow:
/// the MoFME experiment (models.md section 6.4). MoFME is no study of its own: its layers and its
/// router are choices of the network that study vit_moe trains, and what is compared with it, the
/// plain mixture, differs in nothing else.

namespace orchard::training {

/// Whether a recipe trains under weather, so that its network is to be measured there.
bool TrainsUnderWeather(const v1::Recipe& recipe);

/// `pixels` uint8 [N, side, side, 3], on the host, under a weather. Each picture's rendering
/// depends on its content (`contents` [N], SHA-256 in hex), the weather and the severity: every
/// network is asked about the same pictures, whatever its recipe's seed is.
torch::Tensor Rendered(const torch::Tensor& pixels, std::span<const std::string> contents,
                       vision::Weather weather, int severity);

/// The pictures under one weather.
struct WeatherCondition {
  std::string weather;  ///< "clean", "rain", …
  int severity = 0;     ///< 1 to 3; 0: clean
  Classification figures{};
  JudgedAnswers answers{};
  ErrorSignals signals{};
};

struct WeatherReport {
  std::vector<WeatherCondition> conditions;  ///< clean, then each weather by severity: 1 + 3 · 3
  ErrorSignals all;                          ///< over all conditions together
  /// Of each layer that routes, how much of the weather the experts' load tells: clean, and each
  /// weather at severity 2. Permuting labels over all pictures, and not within each, errs towards
  /// a large p: a picture's own picks are alike whatever the weather.
  std::vector<moe::ClassInformation> weather_and_expert;
};

struct WeatherOptions {
  size_t permutations = 1000;  ///< of the weather, for the significance of its information
  std::uint64_t seed = 0;      ///< of these; the renderings have none
};

/// Asks `network` under each weather. `clean` are its answers to `pixels`; `labels` [N] of
/// `classes` classes.
WeatherReport MeasureUnderWeather(nets::Vit& network, const Standardise& standardise,
                                  const torch::Tensor& pixels,
                                  std::span<const std::string> contents,
                                  std::span<const size_t> labels, size_t classes,
                                  const VitAnswers& clean, const WeatherOptions& options);

/// Accuracy of each condition, means over severities, and what finds the errors. A line each.
std::string ToText(const WeatherReport& report);

/// Absent AUROCs are null.
nlohmann::ordered_json ToJson(const ErrorSignals& signals);
nlohmann::ordered_json ToJson(const WeatherReport& report);

/// A line for each picture and condition, so that two networks may be compared picture by picture:
/// picture, weather, severity, label, answer, probability, uncertainty (empty without one).
std::string AnswersText(const WeatherReport& report, std::span<const std::string> pictures,
                        std::span<const size_t> labels, const std::vector<std::string>& classes);

}  // namespace orchard::training
