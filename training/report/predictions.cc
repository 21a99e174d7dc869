#include "training/report/predictions.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <map>
#include <set>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

#include "core/status.h"
#include "core/text.h"
#include "training/data/table.h"

namespace orchard::training {
namespace {

constexpr std::array<const char*, 5> kColumns = {"picture", "label", "answer", "probability",
                                                 "log_probability_of_label"};

/// Where each of kColumns stands.
absl::StatusOr<std::array<size_t, 5>> PlacesOf(const Table& table, const std::string& file) {
  std::array<size_t, 5> places{};
  for (size_t i = 0; i < kColumns.size(); ++i) {
    const auto found = table.columns.find(kColumns[i]);
    if (found == table.columns.end()) {
      return absl::InvalidArgumentError(absl::StrCat(file, ":1: no column \"", kColumns[i], "\""));
    }
    places[i] = found->second;
  }
  return places;
}

}  // namespace

absl::Status WritePredictions(const std::filesystem::path& file,
                              const std::vector<Prediction>& predictions) {
  std::string text = absl::StrCat(absl::StrJoin(kColumns, "\t"), "\n");
  for (const Prediction& one : predictions) {
    absl::StrAppend(&text, ToCell(one.picture), "\t", ToCell(one.label), "\t", ToCell(one.answer));
    absl::StrAppendFormat(&text, "\t%.5f\t%.5f\n", one.probability, one.log_label_probability);
  }
  return core::WriteFile(file, text);
}

absl::StatusOr<std::vector<Prediction>> ReadPredictions(const std::filesystem::path& file) {
  ORCHARD_ASSIGN_OR_RETURN(const Table table, ReadTable(file, '\t', /*needed=*/{}));
  ORCHARD_ASSIGN_OR_RETURN(const auto places, PlacesOf(table, file.string()));
  std::vector<Prediction> predictions;
  for (const auto& [line, cells] : table.rows) {
    const std::string where = absl::StrCat(file.string(), ":", line, ": ");
    if (cells.size() != table.columns.size()) {
      return absl::InvalidArgumentError(
          absl::StrCat(where, cells.size(), " columns, ", table.columns.size(), " in the head"));
    }
    Prediction& one = predictions.emplace_back();
    one.picture = FromCell(cells[places[0]]);
    one.label = FromCell(cells[places[1]]);
    one.answer = FromCell(cells[places[2]]);
    if (!absl::SimpleAtod(cells[places[3]], &one.probability) || !(one.probability >= 0.0) ||
        one.probability > 1.0) {
      return absl::InvalidArgumentError(
          absl::StrCat(where, "probability \"", cells[places[3]], "\" is none in [0, 1]"));
    }
    if (!absl::SimpleAtod(cells[places[4]], &one.log_label_probability) ||
        std::isnan(one.log_label_probability)) {
      return absl::InvalidArgumentError(
          absl::StrCat(where, "log_probability_of_label \"", cells[places[4]], "\" is no number"));
    }
  }
  return predictions;
}

Confusion ConfusionOf(const std::vector<Prediction>& predictions) {
  std::set<std::string> names;
  for (const Prediction& one : predictions) {
    names.insert(one.label);
    names.insert(one.answer);
  }
  Confusion confusion{.names = {names.begin(), names.end()}, .counts = {}};
  confusion.counts.assign(names.size(), std::vector<size_t>(names.size()));
  const auto index = [&](const std::string& name) {
    return static_cast<size_t>(std::ranges::lower_bound(confusion.names, name) -
                               confusion.names.begin());
  };
  for (const Prediction& one : predictions) ++confusion.counts[index(one.label)][index(one.answer)];
  return confusion;
}

std::vector<ReliabilityBin> ReliabilityOf(const std::vector<Prediction>& predictions, size_t bins) {
  std::vector<const Prediction*> sorted;
  for (const Prediction& one : predictions) sorted.push_back(&one);
  std::ranges::stable_sort(sorted, {}, &Prediction::probability);
  bins = std::min(bins, sorted.size());
  std::vector<ReliabilityBin> found;
  for (size_t b = 0; b < bins; ++b) {
    const size_t from = b * sorted.size() / bins, to = (b + 1) * sorted.size() / bins;
    ReliabilityBin& bin = found.emplace_back();
    bin.pictures = to - from;
    for (size_t i = from; i < to; ++i) {
      bin.probability += sorted[i]->probability;
      bin.share += sorted[i]->right() ? 1.0 : 0.0;
    }
    bin.probability /= static_cast<double>(bin.pictures);
    bin.share /= static_cast<double>(bin.pictures);
  }
  return found;
}

std::vector<std::pair<double, double>> RocOf(const std::vector<Prediction>& predictions) {
  std::map<double, std::pair<size_t, size_t>, std::greater<>> by_probability;  // wrong, right
  size_t wrong = 0, right = 0;
  for (const Prediction& one : predictions) {
    auto& counts = by_probability[one.probability];
    ++(one.right() ? counts.second : counts.first);
    ++(one.right() ? right : wrong);
  }
  if (wrong == 0 || right == 0) return {};
  std::vector<std::pair<double, double>> curve = {{0.0, 0.0}};
  size_t wrong_above = 0, right_above = 0;
  for (const auto& [probability, counts] : by_probability) {
    wrong_above += counts.first;
    right_above += counts.second;
    curve.emplace_back(static_cast<double>(wrong_above) / static_cast<double>(wrong),
                       static_cast<double>(right_above) / static_cast<double>(right));
  }
  return curve;
}

double AreaUnder(const std::vector<std::pair<double, double>>& curve) {
  double area = 0.0;
  for (size_t i = 1; i < curve.size(); ++i) {
    area += (curve[i].first - curve[i - 1].first) * (curve[i].second + curve[i - 1].second) / 2.0;
  }
  return area;
}

std::vector<Prediction> WorstOf(const std::vector<Prediction>& predictions, size_t count) {
  std::vector<Prediction> wrong;
  for (const Prediction& one : predictions) {
    if (!one.right()) wrong.push_back(one);
  }
  std::ranges::stable_sort(wrong, {}, &Prediction::log_label_probability);
  if (wrong.size() > count) wrong.resize(count);
  return wrong;
}

}  // namespace orchard::training
