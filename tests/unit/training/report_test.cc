// The report of a run: predictions, charts, the page.
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/text.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "training/report/gnuplot.h"
#include "training/report/predictions.h"
#include "training/report/run_page.h"

namespace orchard::training {
namespace {

using ::orchard::testing::IsOk;
using ::orchard::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;
using ::testing::SizeIs;
using testing::TempDir;

constexpr const char* kTable =
    "picture\tlabel\tanswer\tprobability\tlog_probability_of_label\n"
    "a/1.jpg\ta\ta\t0.9\t-0.1\n"
    "a/2.jpg\ta\tb\t0.8\t-1.7\n"
    "b/3.jpg\tb\tb\t0.7\t-0.36\n"
    "b/4 <x>.jpg\tb\ta\t0.6\t-3.0\n";

std::vector<Prediction> SomePredictions(const TempDir& dir) {
  EXPECT_THAT(core::WriteFile(dir / "p.tsv", kTable), IsOk());
  const auto read = ReadPredictions(dir / "p.tsv");
  EXPECT_THAT(read, IsOk());
  return read.ok() ? *read : std::vector<Prediction>{};
}

TEST(PredictionsTest, NamesMayHoldWhatEndsACellOrALine) {
  const TempDir dir;
  const std::string name = "a/tab\tline\nreturn\r\\n.jpg";
  ASSERT_THAT(WritePredictions(dir / "p.tsv", {{.picture = name,
                                                .label = "a\tb",
                                                .answer = "c\\",
                                                .probability = 0.25,
                                                .log_label_probability = -1.5}}),
              IsOk());
  const auto read = ReadPredictions(dir / "p.tsv");
  ASSERT_THAT(read, IsOk());
  ASSERT_THAT(*read, SizeIs(1));
  EXPECT_EQ(read->front().picture, name);
  EXPECT_EQ(read->front().label, "a\tb");
  EXPECT_EQ(read->front().answer, "c\\");
  EXPECT_EQ(read->front().probability, 0.25);
  EXPECT_EQ(read->front().log_label_probability, -1.5);
}

TEST(PredictionsTest, ATableIsReadAndItsFaultsAreNamed) {
  const TempDir dir;
  const auto read = SomePredictions(dir);
  ASSERT_THAT(read, SizeIs(4));
  EXPECT_EQ(read[1].answer, "b");
  EXPECT_EQ(read[3].log_label_probability, -3.0);
  const auto with = [&](const std::string& text) {
    EXPECT_THAT(core::WriteFile(dir / "bad.tsv", text), IsOk());
    return ReadPredictions(dir / "bad.tsv").status();
  };
  EXPECT_THAT(with("picture\tlabel\n"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("bad.tsv:1: no column")));
  EXPECT_THAT(with(std::string(kTable) + "x\ty\n"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("bad.tsv:6: 2 columns")));
  EXPECT_THAT(with(std::string(kTable) + "x\ty\tz\t1.5\t0\n"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("\"1.5\"")));
  EXPECT_THAT(with(std::string(kTable) + "x\ty\tz\t0.5\tlow\n"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("\"low\"")));
  EXPECT_THAT(ReadPredictions(dir / "none.tsv"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("none.tsv")));
}

TEST(PredictionsTest, WhatIsSeenInThem) {
  const TempDir dir;
  const auto predictions = SomePredictions(dir);
  const Confusion confusion = ConfusionOf(predictions);
  EXPECT_THAT(confusion.names, ElementsAre("a", "b"));
  EXPECT_THAT(confusion.counts, ElementsAre(ElementsAre(1, 1), ElementsAre(1, 1)));
  const auto bins = ReliabilityOf(predictions, 2);
  ASSERT_THAT(bins, SizeIs(2));
  EXPECT_DOUBLE_EQ(bins[0].probability, 0.65);
  EXPECT_DOUBLE_EQ(bins[0].share, 0.5);
  // By falling probability: right, wrong, right, wrong.
  const auto roc = RocOf(predictions);
  EXPECT_THAT(roc, ElementsAre(Pair(0.0, 0.0), Pair(0.0, 0.5), Pair(0.5, 0.5), Pair(0.5, 1.0),
                               Pair(1.0, 1.0)));
  EXPECT_DOUBLE_EQ(AreaUnder(roc), 0.75);
  EXPECT_THAT(RocOf({predictions[0]}), IsEmpty());
  const auto worst = WorstOf(predictions, 1);
  ASSERT_THAT(worst, SizeIs(1));
  EXPECT_EQ(worst[0].picture, "b/4 <x>.jpg");
}

RunHistory SomeRun() {
  RunHistory run;
  run.run = {.id = "1",
             .name = "it's <tiny>",
             .study = "x",
             .recipe = "seed: 1\n",
             .work = "w",
             .facts = {}};
  for (size_t epoch = 1; epoch <= 3; ++epoch) {
    EpochEntry& entry = run.epochs.emplace_back();
    entry.epoch.phase = "epoch";
    entry.epoch.epoch = epoch;
    entry.epoch.loss = 1.0 / static_cast<double>(epoch);
    entry.epoch.terms = {{"balance", 1.25}};
    entry.epoch.validated = epoch > 1;
    entry.epoch.validation = 0.5;
    if (epoch > 1) entry.epoch.expert_load = {{0.5, 0.5}, {1.0, 0.0}};
  }
  return run;
}

TEST(RunPageTest, ChartsAreThoseOfWhatIsKnown) {
  const std::vector<Chart> charts = HistoryCharts(SomeRun());
  std::vector<std::string> titles;
  for (const Chart& chart : charts) titles.push_back(chart.title.substr(0, chart.title.find(',')));
  EXPECT_THAT(titles, ElementsAre("Loss and its terms", "Validation", "Rates", "Speed",
                                  "Balance by layer (1: even", "Layer 1: shares of its experts",
                                  "Layer 2: shares of its experts"));
  EXPECT_THAT(charts[1].lines[0].points, ElementsAre(Pair(2.0, 0.5), Pair(3.0, 0.5)));
  EXPECT_THAT(charts[4].lines[0].points, ElementsAre(Pair(2.0, 1.0), Pair(3.0, 1.0)));  // Even.
  EXPECT_THAT(charts[4].lines[1].points, ElementsAre(Pair(2.0, 2.0), Pair(3.0, 2.0)));  // One of 2.
  EXPECT_THAT(HistoryCharts(RunHistory{}), IsEmpty());
}

/// What charts are drawn with.
bool HasGnuplot() { return std::system("command -v gnuplot >/dev/null 2>&1") == 0; }

TEST(RunPageTest, ThePageHoldsChartsAndPicturesAndNoForeignMarkup) {
  const TempDir dir;
  const auto predictions = SomePredictions(dir);
  std::filesystem::create_directories(dir / "data/a");
  ASSERT_THAT(core::WriteFile(dir / "data/a/2.jpg", "a picture"), IsOk());
  const auto page = RunPage(SomeRun(), predictions, {.data = dir / "data", .split = "test"});
  if (!HasGnuplot()) GTEST_SKIP() << "gnuplot is not installed";
  ASSERT_THAT(page, IsOk());
  EXPECT_THAT(*page, HasSubstr("<h1>it's &lt;tiny&gt; 1</h1>"));
  EXPECT_THAT(*page, HasSubstr("b/4 &lt;x&gt;.jpg"));
  EXPECT_THAT(*page, HasSubstr("data:image/jpeg;base64,YSBwaWN0dXJl"));
  EXPECT_THAT(*page, HasSubstr("2 of 4 answers are right: 0.5000"));
  EXPECT_THAT(*page, Not(HasSubstr("<script")));
  EXPECT_THAT(*page, Not(HasSubstr("\"http")));  // Nothing is fetched.
  size_t charts = 0;
  for (size_t at = page->find("image/svg+xml"); at != std::string::npos;
       at = page->find("image/svg+xml", at + 1)) {
    ++charts;
  }
  EXPECT_EQ(charts, 7U + 3U);
}

TEST(RunPageTest, APictureOutsideTheFolderIsNotShown) {
  const TempDir dir;
  std::filesystem::create_directories(dir / "data");
  ASSERT_THAT(core::WriteFile(dir / "secret.jpg", "a picture"), IsOk());
  const std::vector<Prediction> wrong = {{.picture = "../secret.jpg",
                                          .label = "a",
                                          .answer = "b",
                                          .probability = 0.5,
                                          .log_label_probability = -1.0}};
  const auto page = RunPage(SomeRun(), wrong, {.data = dir / "data", .split = "test"});
  if (!HasGnuplot()) GTEST_SKIP() << "gnuplot is not installed";
  ASSERT_THAT(page, IsOk());
  EXPECT_THAT(*page, Not(HasSubstr("YSBwaWN0dXJl")));
}

TEST(GnuplotTest, DrawsPngAndSaysWhatItDoesNotUnderstand) {
  const TempDir dir;
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const Chart chart{.title = "it's {a} \"test\"",
                    .x = "x",
                    .y = "y",
                    .lines = {{"one", {{1, 2}, {2, nan}, {3, 1}}}, {"none", {}}}};
  const Chart diverged{
      .title = "loss", .x = "epoch", .y = "", .lines = {{"loss", {{1, nan}, {2, nan}}}}};
  const absl::Status drawn = Draw({chart, diverged}, ChartFormat::kPng, dir.path());
  if (!HasGnuplot()) GTEST_SKIP() << "gnuplot is not installed";
  ASSERT_THAT(drawn, IsOk());
  for (const char* file : {"0.png", "1.png"}) {
    EXPECT_THAT(*core::ReadFile(dir / file), HasSubstr("PNG"));
  }
  EXPECT_FALSE(std::filesystem::exists(dir / "charts.gnuplot"));
  EXPECT_THAT(Draw({chart}, ChartFormat::kPng, dir / "nowhere"),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("nowhere")));
}

}  // namespace
}  // namespace orchard::training
