#include "training/report/run_page.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <map>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"

#include "core/status.h"
#include "core/text.h"
#include "training/log/show_runs.h"
#include "training/measure/statistics.h"

namespace orchard::training {
namespace {

namespace fs = std::filesystem;

constexpr size_t kBins = 15;
constexpr size_t kNamedClasses = 60;  // More names than these can't be read beside a matrix.
constexpr std::uintmax_t kLargest = 1U << 20;  // bytes of a picture that is put into the page

constexpr const char* kStyle =
    "body{font:15px/1.5 sans-serif;max-width:1180px;margin:2em auto;padding:0 1em;color:#222}"
    "pre{background:#f5f5f5;padding:1em;overflow-x:auto;font-size:12px}"
    ".charts{display:flex;flex-wrap:wrap;gap:8px}.worst{display:flex;flex-wrap:wrap;gap:12px}"
    ".worst figure{margin:0;width:170px;font-size:12px;overflow-wrap:anywhere}"
    ".worst img{width:128px;height:128px;object-fit:contain;background:#eee;"
    "image-rendering:pixelated}";

std::string Escaped(const std::string& text) {
  return absl::StrReplaceAll(text,
                             {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"\"", "&quot;"}});
}

/// A line for each name that `figures` gives, over the epochs of all phases.
template <typename Figures>
std::vector<Line> LinesOf(const RunHistory& history, const Figures& figures) {
  std::vector<Line> lines;
  std::map<std::string, size_t> index;
  for (size_t i = 0; i < history.epochs.size(); ++i) {
    for (const auto& [name, value] : figures(history.epochs[i].epoch)) {
      const auto [at, is_new] = index.emplace(name, lines.size());
      if (is_new) lines.push_back({name, {}});
      lines[at->second].points.emplace_back(static_cast<double>(i + 1), value);
    }
  }
  return lines;
}

using Named = std::vector<std::pair<std::string, double>>;

/// E · Σ p² of a layer's shares p: 1 where all E experts have the same, E where one has all.
double Unevenness(const std::vector<double>& shares) {
  double sum = 0.0, squares = 0.0;
  for (const double share : shares) {
    sum += share;
    squares += share * share;
  }
  if (sum <= 0.0) return std::numeric_limits<double>::quiet_NaN();
  return static_cast<double>(shares.size()) * squares / (sum * sum);
}

void AddLoadCharts(const RunHistory& history, std::vector<Chart>& charts) {
  size_t layers = 0;
  for (const EpochEntry& entry : history.epochs) {
    layers = std::max(layers, entry.epoch.expert_load.size());
  }
  if (layers == 0) return;
  charts.push_back({.title = "Balance by layer (1: even, E: one expert has all)",
                    .x = "epoch",
                    .y = "E times the sum of squared shares",
                    .lines = LinesOf(history, [](const EpochRecord& epoch) {
                      Named named;
                      for (size_t l = 0; l < epoch.expert_load.size(); ++l) {
                        named.emplace_back(absl::StrCat("layer ", l + 1),
                                           Unevenness(epoch.expert_load[l]));
                      }
                      return named;
                    })});
  for (size_t layer = 0; layer < layers; ++layer) {
    charts.push_back({.title = absl::StrCat("Layer ", layer + 1, ": shares of its experts"),
                      .x = "epoch",
                      .y = "share of the picks",
                      .lines = LinesOf(history,
                                       [&](const EpochRecord& epoch) {
                                         Named named;
                                         if (layer >= epoch.expert_load.size()) return named;
                                         const auto& shares = epoch.expert_load[layer];
                                         for (size_t e = 0; e < shares.size(); ++e) {
                                           named.emplace_back(absl::StrCat("expert ", e + 1),
                                                              shares[e]);
                                         }
                                         return named;
                                       }),
                      .areas = true});
  }
}

std::string ContentType(const fs::path& file) {
  static const auto& types = *new std::map<std::string, std::string>{
      {".jpg", "image/jpeg"},  {".jpeg", "image/jpeg"}, {".png", "image/png"},
      {".webp", "image/webp"}, {".gif", "image/gif"},   {".bmp", "image/bmp"}};
  std::string ending = file.extension().string();
  std::ranges::transform(ending, ending.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const auto found = types.find(ending);
  return found == types.end() ? std::string() : found->second;
}

/// The picture itself, where it is a file of a kind that browsers show; else nothing. A name never
/// leads out of the folder.
std::string ImageOf(const fs::path& data, const std::string& name) {
  const fs::path relative = fs::path(name).lexically_normal();
  const std::string type = ContentType(relative);
  if (data.empty() || type.empty() || relative.is_absolute() || *relative.begin() == "..")
    return {};
  std::error_code error;
  const std::uintmax_t size = fs::file_size(data / relative, error);
  if (error || size > kLargest) return {};
  const auto bytes = core::ReadFile(data / relative);
  if (!bytes.ok()) return {};
  return absl::StrCat("<img alt=\"\" src=\"data:", type, ";base64,", absl::Base64Escape(*bytes),
                      "\">");
}

std::string WorstSection(const std::vector<Prediction>& predictions, const PageOptions& options) {
  const std::vector<Prediction> worst = WorstOf(predictions, options.worst);
  if (worst.empty()) return "<p>No answer is wrong.</p>\n";
  std::string html = "<div class=\"worst\">\n";
  for (const Prediction& one : worst) {
    absl::StrAppend(&html, "<figure>", ImageOf(options.data, one.picture), "<figcaption>",
                    Escaped(one.picture), "<br>is <b>", Escaped(one.label), "</b>",
                    absl::StrFormat(" (p %.2g)", std::exp(one.log_label_probability)),
                    ", taken for <b>", Escaped(one.answer), "</b>",
                    absl::StrFormat(" (p %.3f)", one.probability), "</figcaption></figure>\n");
  }
  return html + "</div>\n";
}

std::string PredictionText(const std::vector<Prediction>& predictions, const std::string& split) {
  const auto right = static_cast<size_t>(std::ranges::count_if(predictions, &Prediction::right));
  const Interval interval = Wilson(right, predictions.size());
  double nll = 0.0;
  for (const Prediction& one : predictions) nll -= one.log_label_probability;
  const auto roc = RocOf(predictions);
  std::string html = absl::StrFormat(
      "<p>On the %s side %d of %d answers are right: %.4f, 95 %% between %.4f and %.4f (Wilson); "
      "mean negative log-likelihood %.4f.",
      Escaped(split), right, predictions.size(),
      static_cast<double>(right) / static_cast<double>(predictions.size()), interval.low,
      interval.high, nll / static_cast<double>(predictions.size()));
  if (!roc.empty()) {
    absl::StrAppendFormat(&html,
                          " The probability of an answer tells right from wrong with an area under "
                          "the curve of %.4f.",
                          AreaUnder(roc));
  }
  return html + "</p>\n";
}

/// The charts drawn, as elements of the page.
absl::StatusOr<std::string> Drawn(const std::vector<Chart>& charts) {
  if (charts.empty()) return std::string();
  std::string folder = (fs::temp_directory_path() / "orchard_report_XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) {
    return absl::UnavailableError(absl::StrCat(folder, ": can't be made"));
  }
  absl::Status status = Draw(charts, ChartFormat::kSvg, folder);
  std::string html = "<div class=\"charts\">\n";
  for (size_t i = 0; status.ok() && i < charts.size(); ++i) {
    const auto svg = core::ReadFile(fs::path(folder) / absl::StrCat(i, ".svg"));
    status = svg.status();
    // As an image: names inside one chart's SVG are those of another's too.
    if (svg.ok()) {
      absl::StrAppend(&html, "<img alt=\"", Escaped(charts[i].title),
                      "\" src=\"data:image/svg+xml;base64,", absl::Base64Escape(*svg), "\">\n");
    }
  }
  std::error_code ignored;
  fs::remove_all(folder, ignored);
  if (!status.ok()) return status;
  return html + "</div>\n";
}

}  // namespace

std::vector<Chart> HistoryCharts(const RunHistory& history) {
  if (history.epochs.empty()) return {};
  std::vector<Chart> charts;
  charts.push_back({.title = "Loss and its terms, unweighted",
                    .x = "epoch",
                    .y = "mean over the steps",
                    .lines = LinesOf(history, [](const EpochRecord& epoch) {
                      Named named = {{"loss", epoch.loss}};
                      named.insert(named.end(), epoch.terms.begin(), epoch.terms.end());
                      return named;
                    })});
  const auto add = [&](const char* title, const char* y, std::vector<Line> lines) {
    if (lines.empty()) return;
    charts.push_back({.title = title, .x = "epoch", .y = y, .lines = std::move(lines)});
  };
  add("Validation, larger is better", "", LinesOf(history, [](const EpochRecord& epoch) {
        return epoch.validated ? Named{{"validation", epoch.validation}} : Named{};
      }));
  add("What the validation found", "",
      LinesOf(history, [](const EpochRecord& epoch) { return epoch.measures; }));
  add("Rates, of their peaks", "factor", LinesOf(history, [](const EpochRecord& epoch) {
        return Named{{"rate", epoch.rate_factor}};
      }));
  add("Norm of the gradients, last step, before clipping", "",
      LinesOf(history, [](const EpochRecord& epoch) {
        return epoch.gradient_norm > 0.0 ? Named{{"norm", epoch.gradient_norm}} : Named{};
      }));
  add("Speed", "pictures a second", LinesOf(history, [](const EpochRecord& epoch) {
        return Named{{"training", epoch.pictures_per_second}};
      }));
  AddLoadCharts(history, charts);
  return charts;
}

std::vector<Chart> PredictionCharts(const std::vector<Prediction>& predictions) {
  std::vector<Chart> charts;
  const Confusion confusion = ConfusionOf(predictions);
  Chart matrix{
      .title = "Confusion: shares of a label's pictures", .x = "answer", .y = "label", .lines = {}};
  for (const std::vector<size_t>& counts : confusion.counts) {
    size_t sum = 0;
    for (const size_t count : counts) sum += count;
    std::vector<double>& row = matrix.matrix.emplace_back();
    for (const size_t count : counts) {
      row.push_back(sum == 0 ? 0.0 : static_cast<double>(count) / static_cast<double>(sum));
    }
  }
  if (confusion.names.size() <= kNamedClasses) matrix.names = confusion.names;
  if (matrix.matrix.size() > 1) charts.push_back(std::move(matrix));  // gnuplot wants two by two.
  Chart reliability{.title = "Reliability: 15 bins of equally many pictures",
                    .x = "probability of the answer",
                    .y = "share that is right",
                    .lines = {{"answers", {}}},
                    .unit = true};
  for (const ReliabilityBin& bin : ReliabilityOf(predictions, kBins)) {
    reliability.lines[0].points.emplace_back(bin.probability, bin.share);
  }
  charts.push_back(std::move(reliability));
  auto roc = RocOf(predictions);
  if (!roc.empty()) {
    charts.push_back({.title = "The probability as a detector of right answers",
                      .x = "share of the wrong answers above the threshold",
                      .y = "share of the right ones",
                      .lines = {{"all thresholds", std::move(roc)}},
                      .unit = true});
  }
  return charts;
}

absl::StatusOr<std::string> RunPage(const RunHistory& history,
                                    const std::optional<std::vector<Prediction>>& predictions,
                                    const PageOptions& options) {
  ORCHARD_ASSIGN_OR_RETURN(const std::string epochs, Drawn(HistoryCharts(history)));
  const std::string title = Escaped(absl::StrCat(history.run.name, " ", history.run.id));
  std::string html = absl::StrCat(
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>", title,
      "</title><style>", kStyle, "</style></head><body>\n<h1>", title, "</h1>\n<h2>Epochs</h2>\n",
      epochs.empty() ? "<p>None has ended yet.</p>\n" : epochs);
  absl::StrAppend(&html, "<h2>Answers</h2>\n");
  if (predictions && !predictions->empty()) {
    ORCHARD_ASSIGN_OR_RETURN(const std::string answers, Drawn(PredictionCharts(*predictions)));
    absl::StrAppend(&html, PredictionText(*predictions, options.split), answers,
                    "<h2>Worst errors</h2>\n", WorstSection(*predictions, options));
  } else {
    absl::StrAppend(&html, "<p>The work folder has no predictions of this run.</p>\n");
  }
  absl::StrAppend(&html, "<h2>Figures</h2>\n<pre>", Escaped(ShowText(history, ThisProcess())),
                  "</pre>\n<h2>Recipe</h2>\n<pre>", Escaped(history.run.recipe),
                  "</pre>\n</body></html>\n");
  return html;
}

}  // namespace orchard::training
