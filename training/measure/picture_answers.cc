#include "training/measure/picture_answers.h"

#include <cmath>
#include <span>
#include <vector>

#include "absl/strings/str_cat.h"
#include <nlohmann/json.hpp>

#include "core/status.h"
#include "core/text.h"
#include "training/report/predictions.h"

namespace orchard::training {

Classification Classify(const PictureAnswers& answers) {
  return Classify(answers.log_probabilities, answers.labels, answers.classes.size());
}

nlohmann::ordered_json ToJson(const PictureAnswers& answers, const Classification& figures) {
  nlohmann::ordered_json json = {{"recipe", answers.recipe},
                                 {"network", answers.network},
                                 {"split", answers.split},
                                 {"pictures", figures.accuracy.total},
                                 {"hits", figures.accuracy.hits},
                                 {"accuracy", figures.accuracy.Share()},
                                 {"interval", {figures.interval.low, figures.interval.high}},
                                 {"nll", figures.nll},
                                 {"calibration_error", figures.calibration_error}};
  for (size_t c = 0; c < answers.classes.size(); ++c) {
    json["classes"].push_back({{"name", answers.classes[c]},
                               {"hits", figures.by_class[c].hits},
                               {"pictures", figures.by_class[c].total}});
  }
  json["confusion"] = figures.confusion;
  return json;
}

namespace {

std::vector<Prediction> PredictionsOf(const PictureAnswers& answers) {
  const size_t width = answers.classes.size();
  const std::span<const float> all(answers.log_probabilities);
  std::vector<Prediction> predictions;
  for (size_t i = 0; i < answers.names.size(); ++i) {
    const std::span<const float> row = all.subspan(i * width, width);
    const size_t label = answers.labels[i];
    const size_t answer = BestClass(row);
    predictions.push_back({.picture = answers.names[i],
                           .label = answers.classes[label],
                           .answer = answers.classes[answer],
                           .probability = std::exp(row[answer]),
                           .log_label_probability = row[label]});
  }
  return predictions;
}

}  // namespace

absl::Status WriteAnswers(const std::filesystem::path& work, const PictureAnswers& answers,
                          const std::string& json) {
  ORCHARD_RETURN_IF_ERROR(
      core::WriteFile(work / absl::StrCat("measure-", answers.split, ".json"), json + "\n"));
  return WritePredictions(work / absl::StrCat("predictions-", answers.split, ".tsv"),
                          PredictionsOf(answers));
}

}  // namespace orchard::training
