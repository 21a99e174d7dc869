#include "training/studies/vit_moe/weather.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <optional>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include <nlohmann/json.hpp>
#include <torch/torch.h>

#include "training/data/table.h"
#include "training/recipe.h"
#include "training/training.h"

namespace orchard::training {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kMiddle = 2;  ///< the severity whose pictures tell how much experts know of weather

/// The first 64 bits of a digest in hex.
std::uint64_t KeyOf(const std::string& sha256) {
  constexpr size_t kDigits = 16;
  std::uint64_t key = 0;
  std::from_chars(sha256.data(), sha256.data() + std::min(kDigits, sha256.size()), key, 16);
  return key;
}

WeatherCondition Judged(std::string weather, int severity, const VitAnswers& answers,
                        std::span<const size_t> labels, size_t classes) {
  const torch::Tensor& rows = answers.log_probabilities;
  WeatherCondition condition{.weather = std::move(weather), .severity = severity};
  condition.figures =
      Classify({rows.data_ptr<float>(), static_cast<size_t>(rows.numel())}, labels, classes);
  condition.answers.Add(answers, labels);
  condition.signals = SignalsOf(condition.answers);
  return condition;
}

/// Picks by picture of each layer, and the weather that each row was under.
struct PicksByWeather {
  std::vector<std::vector<std::vector<double>>> picks;  ///< [layers][pictures · weathers][E]
  std::vector<size_t> weather;                          ///< [pictures · weathers]

  void Add(const VitAnswers& answers, size_t kind) {
    picks.resize(answers.routing.size());
    size_t pictures = 0;
    for (size_t layer = 0; layer < picks.size(); ++layer) {
      std::ranges::copy(answers.routing[layer].picks_of_picture, std::back_inserter(picks[layer]));
      pictures = answers.routing[layer].picks_of_picture.size();
    }
    weather.insert(weather.end(), pictures, kind);
  }
};

/// Of all conditions together.
ErrorSignals SignalsOfAll(const std::vector<WeatherCondition>& conditions) {
  JudgedAnswers all;
  for (const WeatherCondition& condition : conditions) {
    const JudgedAnswers& own = condition.answers;
    std::ranges::copy(own.right, std::back_inserter(all.right));
    std::ranges::copy(own.confidence, std::back_inserter(all.confidence));
    std::ranges::copy(own.uncertainty, std::back_inserter(all.uncertainty));
  }
  return SignalsOf(all);
}

std::string NameOf(const WeatherCondition& condition) {
  return condition.severity == 0 ? condition.weather
                                 : absl::StrCat(condition.weather, " ", condition.severity);
}

std::string Figure(const std::optional<double>& value) {
  return value ? absl::StrFormat("%.4f", *value) : "none";
}

std::string SignalsText(const ErrorSignals& signals) {
  std::string text = absl::StrCat("confidence ", Figure(signals.confidence));
  if (signals.mean_uncertainty) {
    absl::StrAppend(&text, ", uncertainty ", Figure(signals.uncertainty),
                    absl::StrFormat(" (mean %.3g)", *signals.mean_uncertainty));
  }
  return text;
}

Json OrNull(const std::optional<double>& value) { return value ? Json(*value) : Json(); }

}  // namespace

bool TrainsUnderWeather(const v1::Recipe& recipe) {
  return std::ranges::any_of(recipe.domains(), [&](const v1::Domain& domain) {
    return AugmentationOf(recipe, domain).weather() > 0.0;
  });
}

torch::Tensor Rendered(const torch::Tensor& pixels, std::span<const std::string> contents,
                       vision::Weather weather, int severity) {
  torch::Tensor rendered = pixels.contiguous().clone();
  const auto side = static_cast<size_t>(pixels.size(1));
  const size_t row = side * side * 3;
  const std::span<std::uint8_t> all(rendered.data_ptr<std::uint8_t>(), contents.size() * row);
  for (size_t i = 0; i < contents.size(); ++i) {
    std::mt19937_64 random(Mix(KeyOf(contents[i]), static_cast<std::uint64_t>(weather),
                               static_cast<std::uint64_t>(severity)));
    vision::Render(weather, severity, side, random, all.subspan(i * row, row));
  }
  return rendered;
}

WeatherReport MeasureUnderWeather(nets::Vit& network, const Standardise& standardise,
                                  const torch::Tensor& pixels,
                                  std::span<const std::string> contents,
                                  std::span<const size_t> labels, size_t classes,
                                  const VitAnswers& clean, const WeatherOptions& options) {
  WeatherReport report;
  PicksByWeather picks;
  report.conditions.push_back(Judged("clean", 0, clean, labels, classes));
  picks.Add(clean, 0);
  for (size_t kind = 0; kind < vision::kWeathers.size(); ++kind) {
    const vision::Weather weather = vision::kWeathers[kind];
    for (int severity = 1; severity <= vision::kMostSeverity; ++severity) {
      const VitAnswers answers =
          Ask(network, standardise, Rendered(pixels, contents, weather, severity));
      report.conditions.push_back(
          Judged(std::string(vision::NameOf(weather)), severity, answers, labels, classes));
      if (severity == kMiddle) picks.Add(answers, kind + 1);
    }
  }
  report.all = SignalsOfAll(report.conditions);
  for (size_t layer = 0; layer < picks.picks.size(); ++layer) {
    report.weather_and_expert.push_back(
        moe::ClassAndExpert(picks.weather, vision::kWeathers.size() + 1, picks.picks[layer],
                            options.permutations, Mix(options.seed, layer, /*b=*/2)));
  }
  return report;
}

std::string ToText(const WeatherReport& report) {
  std::string text;
  double under_weather = 0.0;
  for (const WeatherCondition& condition : report.conditions) {
    const Classification& figures = condition.figures;
    absl::StrAppendFormat(
        &text, "%-6s accuracy %.4f [%.4f, %.4f], nll %.4f, calibration error %.4f; errors by %s\n",
        NameOf(condition), figures.accuracy.Share(), figures.interval.low, figures.interval.high,
        figures.nll, figures.calibration_error, SignalsText(condition.signals));
    if (condition.severity > 0) under_weather += figures.accuracy.Share();
  }
  absl::StrAppendFormat(&text, "under weather: mean accuracy %.4f; errors of all by %s\n",
                        under_weather / static_cast<double>(report.conditions.size() - 1),
                        SignalsText(report.all));
  for (size_t layer = 0; layer < report.weather_and_expert.size(); ++layer) {
    const moe::ClassInformation& known = report.weather_and_expert[layer];
    absl::StrAppendFormat(&text, "layer %d: information about the weather %.4f (p %.3g)\n",
                          layer + 1, known.information.normalised, known.p_value);
  }
  return text;
}

Json ToJson(const ErrorSignals& signals) {
  return {{"confidence_auroc", OrNull(signals.confidence)},
          {"uncertainty_auroc", OrNull(signals.uncertainty)},
          {"mean_uncertainty", OrNull(signals.mean_uncertainty)}};
}

Json ToJson(const WeatherReport& report) {
  Json json = {{"conditions", Json::array()},
               {"error_signals", ToJson(report.all)},
               {"weather_information", Json::array()}};
  for (const WeatherCondition& condition : report.conditions) {
    const Classification& figures = condition.figures;
    json["conditions"].push_back({{"weather", condition.weather},
                                  {"severity", condition.severity},
                                  {"pictures", figures.accuracy.total},
                                  {"hits", figures.accuracy.hits},
                                  {"accuracy", figures.accuracy.Share()},
                                  {"interval", {figures.interval.low, figures.interval.high}},
                                  {"nll", figures.nll},
                                  {"calibration_error", figures.calibration_error},
                                  {"error_signals", ToJson(condition.signals)}});
  }
  for (const moe::ClassInformation& known : report.weather_and_expert) {
    json["weather_information"].push_back(
        {{"normalised", known.information.normalised}, {"p", known.p_value}});
  }
  return json;
}

std::string AnswersText(const WeatherReport& report, std::span<const std::string> pictures,
                        std::span<const size_t> labels, const std::vector<std::string>& classes) {
  std::string text = "picture\tweather\tseverity\tlabel\tanswer\tprobability\tuncertainty\n";
  for (const WeatherCondition& condition : report.conditions) {
    const JudgedAnswers& answers = condition.answers;
    for (size_t i = 0; i < pictures.size(); ++i) {
      absl::StrAppend(&text, ToCell(pictures[i]), "\t", condition.weather, "\t", condition.severity,
                      "\t", ToCell(classes[labels[i]]), "\t", ToCell(classes[answers.answer[i]]),
                      "\t", absl::StrFormat("%.5f", answers.confidence[i]), "\t");
      if (!answers.uncertainty.empty()) {
        absl::StrAppend(&text, absl::StrFormat("%.5g", answers.uncertainty[i]));
      }
      text += "\n";
    }
  }
  return text;
}

}  // namespace orchard::training
