// The run log: records, the SQLite file, what is kept when it can't be written, and how it is
// shown.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sqlite3.h>

#include "core/digest.h"
#include "core/text.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "training/log/recipe_fields.h"
#include "training/log/recorder.h"
#include "training/log/run_store.h"
#include "training/log/show_runs.h"
#include "training/log/sqlite_store.h"
#include "training/work_folder.h"

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

EpochEntry SomeEpoch(const std::string& phase, size_t epoch, double validation) {
  EpochRecord record{.phase = phase,
                     .epoch = epoch,
                     .steps = 24,
                     .loss = 1.0 / 3.0,
                     .terms = {{"cross_entropy", 0.25}, {"balance.of.load", 1.0004}},
                     .rate_factor = 0.75,
                     .gradient_norm = 2.5,
                     .validated = validation >= 0.0,
                     .validation = std::max(validation, 0.0),
                     .measures = {{"loss", 0.5}, {"$odd", 0.125}},
                     .expert_load = {{0.5, 0.25, 0.25}, {1.0, 0.0}},
                     .seconds = 12.5,
                     .pictures_per_second = 81.25,
                     .verdicts = {{"layer 1", "even"}, {"layer 2", "collapsed"}}};
  return {
      .epoch = record, .piece = 1, .at = "2026-03-01T14:0" + std::to_string(epoch) + ":00.000Z"};
}

RunHistory SomeRun(const std::string& id) {
  return {.run = {.id = id,
                  .name = "tiny",
                  .study = "masked_moe",
                  .recipe = "name: \"tiny\"\nseed: 5\n",
                  .work = "/runs/tiny",
                  .facts = {{.topic = "data", .name = "train", .value = std::int64_t{1200}}}},
          .pieces = {{.number = 1,
                      .started = "2026-03-01T14:00:00.000Z",
                      .seen = "2026-03-01T14:05:00.000Z",
                      .ended = "2026-03-01T14:05:00.000Z",
                      .outcome = "stopped",
                      .message = "",
                      .process = {.host = "a", .boot = "b", .pid = 7, .started = 8},
                      .facts = {{.topic = "machine", .name = "cores", .value = std::int64_t{2}},
                                {.topic = "machine",
                                 .name = "processor",
                                 .value = std::string("abacus")}}}},
          .epochs = {SomeEpoch("heads", 1, -1.0), SomeEpoch("epoch", 2, 0.5),
                     SomeEpoch("epoch", 3, 0.75)},
          .files = {{.name = kCheckpoint,
                     .epoch = 2,
                     .at = "2026-03-01T14:02:00.000Z",
                     .sha256 = std::string(64, 'a'),
                     .bytes = 99}}};
}

/// Both as JSON: every field.
void ExpectSameRun(const RunHistory& found, const RunHistory& wanted) {
  EXPECT_EQ(ToJson(found).dump(1), ToJson(wanted).dump(1));
}

TEST(RunRecordsTest, JsonAndBackIsTheSame) {
  const RunHistory run = SomeRun("x");
  EXPECT_EQ(ToJson(*RunInfoFromJson(ToJson(run.run))), ToJson(run.run));
  EXPECT_EQ(ToJson(*PieceFromJson(ToJson(run.pieces[0]))), ToJson(run.pieces[0]));
  EXPECT_EQ(ToJson(*EpochFromJson(ToJson(run.epochs[2]))), ToJson(run.epochs[2]));
  EXPECT_EQ(ToJson(*FileFromJson(ToJson(run.files[0]))), ToJson(run.files[0]));
  EXPECT_FALSE(EpochFromJson(ToJson(run.epochs[0]))->epoch.validated);
  EXPECT_THAT(EpochFromJson({{"phase", "x"}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("epoch")));
}

TEST(RunRecordsTest, TheStateIsThatOfTheLastProcess) {
  const ProcessId self{.host = "a", .boot = "b n1", .pid = 1, .started = 1};
  const auto state = [&](const ProcessId& process, const char* outcome, bool alive) {
    RunHistory run = SomeRun("x");
    run.pieces.push_back(run.pieces[0]);
    run.pieces[1].process = process;
    run.pieces[1].outcome = outcome;
    run.pieces[1].ended = *outcome == '\0' ? "" : "2026";
    using Alive = bool (*)(const ProcessId&);
    return StateOf(run, self,
                   alive ? Alive([](const ProcessId&) { return true; })
                         : Alive([](const ProcessId&) { return false; }));
  };
  EXPECT_EQ(state(self, "finished", false), "finished");
  EXPECT_EQ(state(self, "", true), "running");
  EXPECT_EQ(state(self, "", false), "killed");
  EXPECT_EQ(state({.host = "a", .boot = "c n1"}, "", true), "killed");     // The machine went down.
  EXPECT_EQ(state({.host = "a", .boot = "b n2"}, "", true), "elsewhere");  // In a container.
  EXPECT_EQ(state({.host = "z", .boot = "b n1"}, "", true), "elsewhere");
}

TEST(RunRecordsTest, ThisProcessIsAliveAndOneWithItsNumberIsNot) {
  ProcessId process = ThisProcess();
  EXPECT_TRUE(IsAlive(process));
  --process.started;  // The number came again.
  EXPECT_FALSE(IsAlive(process));
}

TEST(RunRecordsTest, ARunIsFoundByIdBeginningNameOrLast) {
  std::vector<RunHistory> runs = {SomeRun("20260302-1"), SomeRun("20260301-2"),
                                  SomeRun("20260301-1")};
  runs[1].run.name = "other";
  const auto id = [&](const std::string& word) { return (*FindRun(runs, word))->run.id; };
  EXPECT_EQ(id("last"), "20260302-1");
  EXPECT_EQ(id("20260301-1"), "20260301-1");
  EXPECT_EQ(id("20260302"), "20260302-1");
  EXPECT_EQ(id("other"), "20260301-2");
  EXPECT_THAT(FindRun(runs, "20260301"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("20260301-2, 20260301-1")));
  EXPECT_THAT(FindRun(runs, "tiny"), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("2")));
  EXPECT_THAT(FindRun(runs, "none"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("none")));
}

TEST(SqliteStoreTest, WhatIsWrittenIsRead) {
  const TempDir dir;
  SqliteStore store(dir / "runs.sqlite");
  EXPECT_THAT(store.Read("", RunStore::Detail::kAll),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("runs.sqlite")));
  const RunHistory run = SomeRun("1"), newer = SomeRun("2");
  ASSERT_THAT(store.Put("1", RecordsOf(run)), IsOk());
  ASSERT_THAT(store.Put("2", RecordsOf(newer)), IsOk());
  const auto all = SqliteStore(dir / "runs.sqlite").Read("", RunStore::Detail::kAll);
  ASSERT_THAT(all, IsOk());
  ASSERT_THAT(*all, SizeIs(2));
  ExpectSameRun((*all)[0], newer);
  ExpectSameRun((*all)[1], run);
  const auto summary = store.Read("1", RunStore::Detail::kSummary);
  ASSERT_THAT(*summary, SizeIs(1));
  EXPECT_THAT((*summary)[0].epochs[1].epoch.terms, IsEmpty());
  EXPECT_EQ((*summary)[0].epochs[1].epoch.validation, 0.5);
  ASSERT_THAT(store.Remove("1"), IsOk());
  EXPECT_THAT(*store.Read("1", RunStore::Detail::kAll), IsEmpty());
  ExpectSameRun(store.Read("2", RunStore::Detail::kAll)->front(), newer);
}

TEST(SqliteStoreTest, ARecordReplacesThatOfItsKey) {
  const TempDir dir;
  SqliteStore store(dir / "runs.sqlite");
  RunHistory run = SomeRun("1");
  ASSERT_THAT(store.Put("1", RecordsOf(run)), IsOk());
  run.epochs[2].epoch.terms.pop_back();  // As after a kill: the epoch was trained again.
  run.epochs[2].epoch.expert_load.pop_back();
  run.epochs[2].epoch.loss = 0.125;
  const RunRecord again = run.epochs[2];
  ASSERT_THAT(store.Put("1", {&again, 1}), IsOk());
  ExpectSameRun(store.Read("1", RunStore::Detail::kAll)->front(), run);
}

TEST(SqliteStoreTest, AFileThatWasMadeAnewIsOpenedAnew) {
  const TempDir dir;
  SqliteStore store(dir / "runs.sqlite");
  ASSERT_THAT(store.Put("1", RecordsOf(SomeRun("1"))), IsOk());
  for (const char* file : {"runs.sqlite", "runs.sqlite-wal", "runs.sqlite-shm"}) {
    std::filesystem::remove(dir / file);
  }
  ASSERT_THAT(SqliteStore(dir / "runs.sqlite").Put("2", RecordsOf(SomeRun("2"))), IsOk());
  ASSERT_THAT(store.Put("3", RecordsOf(SomeRun("3"))), IsOk());
  const auto runs = SqliteStore(dir / "runs.sqlite").Read("", RunStore::Detail::kAll);
  ASSERT_THAT(runs, IsOk());
  ASSERT_THAT(*runs, SizeIs(2));
  EXPECT_EQ((*runs)[0].run.id, "3");
  EXPECT_EQ((*runs)[1].run.id, "2");
}

TEST(SqliteStoreTest, TwoRunsWriteIntoOneFileAtOnce) {
  const TempDir dir;
  const auto write = [&](const std::string& id) {
    SqliteStore store(dir / "runs.sqlite");  // Each makes the tables, if it is the first.
    for (size_t epoch = 1; epoch <= 50; ++epoch) {
      std::vector<RunRecord> records = {SomeRun(id).run, SomeEpoch("epoch", epoch, 0.5)};
      EXPECT_THAT(store.Put(id, records), IsOk());
    }
  };
  {
    const std::jthread one(write, "1"), two(write, "2");
  }
  const auto runs = SqliteStore(dir / "runs.sqlite").Read("", RunStore::Detail::kAll);
  ASSERT_THAT(runs, IsOk());
  ASSERT_THAT(*runs, SizeIs(2));
  for (const RunHistory& run : *runs) EXPECT_THAT(run.epochs, SizeIs(50));
}

void Execute(const std::filesystem::path& file, const std::string& sql) {
  sqlite3* database = nullptr;
  ASSERT_EQ(sqlite3_open(file.c_str(), &database), SQLITE_OK);
  EXPECT_EQ(sqlite3_exec(database, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(database);
}

TEST(SqliteStoreTest, AFileOfSomethingElseIsLeftAlone) {
  const TempDir dir;
  const RunHistory run = SomeRun("1");
  ASSERT_THAT(core::WriteFile(dir / "text", std::string(5000, 'x')), IsOk());
  EXPECT_THAT(SqliteStore(dir / "text").Put("1", RecordsOf(run)),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("not a database")));
  EXPECT_EQ(*core::ReadFile(dir / "text"), std::string(5000, 'x'));
  Execute(dir / "foreign", "CREATE TABLE runs (x)");
  const std::string foreign = *core::ReadFile(dir / "foreign");
  EXPECT_THAT(SqliteStore(dir / "foreign").Put("1", RecordsOf(run)),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("no run log")));
  EXPECT_EQ(*core::ReadFile(dir / "foreign"), foreign);
  ASSERT_THAT(SqliteStore(dir / "newer").Put("1", RecordsOf(run)), IsOk());
  Execute(dir / "newer", "PRAGMA user_version = 2");
  EXPECT_THAT(SqliteStore(dir / "newer").Put("1", RecordsOf(run)),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("schema 2")));
}

// As in a folder that may not be written, but for root as well.
TEST(SqliteStoreTest, WhereNothingCanBeWrittenBesideItALogIsReadAsItStands) {
  const TempDir dir;
  const std::filesystem::path file = dir / "90% of ü?#/runs.sqlite";
  std::filesystem::create_directories(file.parent_path());
  const RunHistory run = SomeRun("1");
  ASSERT_THAT(SqliteStore(file).Put("1", RecordsOf(run)), IsOk());
  std::filesystem::create_symlink("nowhere/marks", file.string() + "-shm");
  SqliteStore store(file);
  const auto runs = store.Read("", RunStore::Detail::kAll);
  ASSERT_THAT(runs, IsOk());
  ASSERT_THAT(*runs, SizeIs(1));
  ExpectSameRun(runs->front(), run);
  EXPECT_THAT(store.Remove("1"), Not(IsOk()));
  EXPECT_THAT(store.Put("2", RecordsOf(SomeRun("2"))), Not(IsOk()));
  ASSERT_THAT(core::WriteFile(file.string() + "-wal", "newer records"), IsOk());
  EXPECT_THAT(SqliteStore(file).Read("", RunStore::Detail::kAll),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("runs.sqlite-wal holds what")));
}

TEST(RunStoreTest, AnUnknownSchemeIsRefused) {
  for (const char* where : {"postgres://me:secret@x", "MongoDB://me:secret@x"}) {
    const absl::Status status = MakeRunStore(where).status();
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("mongodb://HOST")));
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr("secret")));
  }
  EXPECT_EQ(RunLogBeside("/a/runs/first"), "/a/runs/runs.sqlite");
  EXPECT_EQ(RunLogBeside("/a/runs/first/"), "/a/runs/runs.sqlite");
}

/// A store that takes nothing while it is told so.
class Flaky final : public RunStore {
 public:
  Flaky(std::filesystem::path file, bool& down, size_t& asked)
      : store_(std::move(file)), down_(down), asked_(asked) {}
  std::string place() const override { return "flaky"; }
  absl::Status Put(const std::string& id, std::span<const RunRecord> records) override {
    ++asked_;
    if (down_) return absl::UnavailableError("flaky: it is away");
    return store_.Put(id, records);
  }
  absl::StatusOr<std::vector<RunHistory>> Read(const std::string& id, Detail detail) override {
    return store_.Read(id, detail);
  }
  absl::Status Remove(const std::string& id) override { return store_.Remove(id); }

 private:
  SqliteStore store_;
  bool& down_;
  size_t& asked_;
};

class RecorderTest : public ::testing::Test {
 protected:
  RecorderTest() { std::filesystem::create_directories(work_); }

  Recorder Make(bool resume = false) {
    return Recorder(std::make_unique<Flaky>(file_, down_, asked_),
                    {.work = work_,
                     .resume = resume,
                     .run = {.id = {},
                             .name = "tiny",
                             .study = "masked_moe",
                             .recipe = "seed: 1\n",
                             .work = work_.string(),
                             .facts = {}},
                     .facts = {{.topic = "machine", .name = "cores", .value = std::int64_t{2}}},
                     .now = [this] { return now_; }});
  }
  void Epoch(Recorder& recorder, size_t epoch) {
    now_ += absl::Minutes(1);
    recorder.Epoch(SomeEpoch("epoch", epoch, 0.5).epoch);
  }
  std::vector<RunHistory> Runs() {
    auto runs = SqliteStore(file_).Read("", RunStore::Detail::kAll);
    return runs.ok() ? *std::move(runs) : std::vector<RunHistory>{};
  }
  static std::vector<size_t> Epochs(const RunHistory& run) {
    std::vector<size_t> epochs;
    for (const EpochEntry& entry : run.epochs) epochs.push_back(entry.epoch.epoch);
    return epochs;
  }
  bool Kept() const { return std::filesystem::exists(work_ / kUnsentLog); }

  TempDir dir_;
  std::filesystem::path file_ = dir_ / "runs.sqlite", work_ = dir_ / "work";
  bool down_ = false;
  size_t asked_ = 0;
  absl::Time now_ = absl::FromUnixSeconds(1772373909);
};

TEST_F(RecorderTest, WritesWhatHappens) {
  Recorder recorder = Make();
  recorder.Begin({{.topic = "data", .name = "train", .value = std::int64_t{12}}});
  Epoch(recorder, 1);
  ASSERT_THAT(core::WriteFile(work_ / kCheckpoint, "weights"), IsOk());
  recorder.File(work_ / kCheckpoint, 1);
  recorder.End(absl::OkStatus(), /*finished=*/true);
  ASSERT_THAT(Runs(), SizeIs(1));
  const RunHistory run = Runs()[0];
  EXPECT_THAT(run.run.id, ::testing::MatchesRegex("20260301-140509-[0-9a-f]+"));
  EXPECT_EQ(run.run.facts[0].name, "train");
  EXPECT_EQ(run.pieces[0].outcome, "finished");
  EXPECT_EQ(run.pieces[0].started, "2026-03-01T14:05:09.000Z");
  EXPECT_EQ(run.pieces[0].ended, "2026-03-01T14:06:09.000Z");
  EXPECT_EQ(run.pieces[0].facts[0].name, "cores");
  EXPECT_EQ(run.epochs[0].at, "2026-03-01T14:06:09.000Z");
  EXPECT_EQ(run.files[0].name, kCheckpoint);
  EXPECT_EQ(run.files[0].sha256, core::Sha256Hex("weights"));
  EXPECT_EQ(run.files[0].bytes, 7);
  EXPECT_FALSE(Kept());
}

TEST_F(RecorderTest, ARunThatNeverBeganIsNone) {
  Make().End(absl::InvalidArgumentError("no pictures"), false);
  EXPECT_THAT(Runs(), IsEmpty());
  EXPECT_FALSE(std::filesystem::exists(work_ / kRunId));
}

TEST_F(RecorderTest, AResumedRunGoesOnUnderItsId) {
  Recorder killed = Make();
  killed.Begin({});
  Epoch(killed, 1);
  Epoch(killed, 2);  // Trained, not saved: it comes again.
  Recorder resumed = Make(/*resume=*/true);
  resumed.Begin({});
  Epoch(resumed, 2);
  resumed.End(absl::FailedPreconditionError("the loss is nan"), false);
  ASSERT_THAT(Runs(), SizeIs(1));
  const RunHistory run = Runs()[0];
  EXPECT_EQ(resumed.id(), killed.id());
  ASSERT_THAT(run.pieces, SizeIs(2));
  EXPECT_EQ(run.pieces[0].ended, "");
  EXPECT_EQ(run.pieces[1].outcome, "failed");
  EXPECT_EQ(run.pieces[1].message, "the loss is nan");
  EXPECT_THAT(Epochs(run), ElementsAre(1, 2));
  EXPECT_EQ(run.epochs[1].piece, 2U);
  Recorder anew = Make(/*resume=*/false);
  anew.Begin({});
  EXPECT_THAT(Runs(), SizeIs(2));
}

TEST_F(RecorderTest, WhatTheStoreDoesNotTakeIsSentLater) {
  Recorder recorder = Make();
  recorder.Begin({});
  down_ = true;
  ::testing::internal::CaptureStderr();
  Epoch(recorder, 1);
  Epoch(recorder, 2);
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(said, "run log flaky: it is away; the run goes on, and its records wait in " +
                      (work_ / kUnsentLog).string() + "\n");
  const auto kept = SqliteStore(work_ / kUnsentLog).Read("", RunStore::Detail::kAll);
  ASSERT_THAT(kept, IsOk());
  ASSERT_THAT(*kept, SizeIs(1));  // Whole, so that another log could take it in.
  EXPECT_EQ(kept->front().run.name, "tiny");
  EXPECT_THAT(Epochs(kept->front()), ElementsAre(1, 2));
  EXPECT_THAT(Epochs(Runs()[0]), IsEmpty());
  down_ = false;
  ::testing::internal::CaptureStderr();
  Epoch(recorder, 3);
  EXPECT_THAT(::testing::internal::GetCapturedStderr(), HasSubstr("none is missing"));
  EXPECT_THAT(Epochs(Runs()[0]), ElementsAre(1, 2, 3));
  EXPECT_FALSE(Kept());
}

TEST_F(RecorderTest, AStoreThatIsAwayIsNotAskedAtEveryEpoch) {
  down_ = true;
  ::testing::internal::CaptureStderr();
  Recorder recorder = Make();
  recorder.Begin({});
  const size_t asked = asked_;
  for (size_t epoch = 1; epoch <= 10; ++epoch) {
    now_ += absl::Seconds(1);
    recorder.Epoch(SomeEpoch("epoch", epoch, 0.5).epoch);
  }
  EXPECT_EQ(asked_, asked);
  recorder.End(absl::OkStatus(), true);  // Asked once more, and the last word is where to find it.
  EXPECT_EQ(asked_, asked + 1);
  EXPECT_THAT(::testing::internal::GetCapturedStderr(), HasSubstr("runs import"));
  // The next process of the run sends it.
  down_ = false;
  Recorder resumed = Make(/*resume=*/true);
  resumed.Begin({});
  ASSERT_THAT(Runs(), SizeIs(1));
  EXPECT_THAT(Runs()[0].epochs, SizeIs(10));
  EXPECT_THAT(Runs()[0].pieces, SizeIs(2));
  EXPECT_FALSE(Kept());
}

TEST_F(RecorderTest, WhatIsKeptAndCantBeReadIsNamedOnce) {
  ASSERT_THAT(core::WriteFile(work_ / kUnsentLog, "no database"), IsOk());
  ::testing::internal::CaptureStderr();
  Recorder recorder = Make();
  recorder.Begin({});
  Epoch(recorder, 1);
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(said, HasSubstr((work_ / kUnsentLog).string() + ": "));
  EXPECT_THAT(said, HasSubstr("not come to flaky"));
  EXPECT_EQ(std::ranges::count(said, '\n'), 1);
  EXPECT_THAT(Epochs(Runs()[0]), ElementsAre(1)) << "it holds up what comes";
  down_ = true;
  Epoch(recorder, 2);
  down_ = false;
  ::testing::internal::CaptureStderr();
  Epoch(recorder, 3);
  const std::string back = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(back, HasSubstr("takes records again"));
  EXPECT_THAT(back, Not(HasSubstr("none is missing")));
  EXPECT_THAT(Epochs(Runs()[0]), ElementsAre(1, 2, 3));
  EXPECT_TRUE(Kept()) << "somebody may mend it";
}

TEST_F(RecorderTest, WhereNothingCanBeWrittenItWaitsInMemory) {
  down_ = true;
  Recorder recorder = Make();
  std::filesystem::create_directories(work_ / kUnsentLog);  // No file can be there.
  ::testing::internal::CaptureStderr();
  recorder.Begin({});
  Epoch(recorder, 1);
  EXPECT_THAT(::testing::internal::GetCapturedStderr(), HasSubstr("wait in memory"));
  std::filesystem::remove(work_ / kUnsentLog);
  down_ = false;
  Epoch(recorder, 2);
  ASSERT_THAT(Runs(), SizeIs(1));
  EXPECT_THAT(Epochs(Runs()[0]), ElementsAre(1, 2));
}

constexpr const char* kRecipe =
    "name: \"a\"\ndomains {\n  name: \"apple\"\n  quota: 4\n}\ndomains {\n  name: \"rice\"\n}\n"
    "optimisation {\n  sides: 192\n  sides: 224\n}\n";

TEST(RecipeFieldsTest, FieldsHaveTheirPaths) {
  EXPECT_THAT(RecipeFields(kRecipe),
              ElementsAre(Pair("name", "\"a\""), Pair("domains[apple].name", "\"apple\""),
                          Pair("domains[apple].quota", "4"), Pair("domains[rice].name", "\"rice\""),
                          Pair("optimisation.sides", "192, 224")));
  EXPECT_THAT(RecipeFields("gate {\n  linear {\n  }\n}\nx {\n  y: 1\n}\nx {\n  y: 2\n}\n"),
              ElementsAre(Pair("gate.linear", "{}"), Pair("x[0].y", "1"), Pair("x[1].y", "2")));
}

TEST(RecipeFieldsTest, OnlyWhatDiffersIsCompared) {
  std::string other = kRecipe;
  other.replace(other.find("quota: 4"), 8, "quota: 5");
  other += "seed: 3\n";
  const auto found = CompareRecipes({kRecipe, other});
  ASSERT_THAT(found, SizeIs(2));
  EXPECT_EQ(found[0].field, "domains[apple].quota");
  EXPECT_THAT(found[0].values, ElementsAre("4", "5"));
  EXPECT_EQ(found[1].field, "seed");
  EXPECT_THAT(found[1].values, ElementsAre("", "3"));
}

TEST(ShowRunsTest, TablesSayWhatIsKnown) {
  const ProcessId self = ThisProcess();
  RunHistory other = SomeRun("2");
  other.run.recipe = "name: \"tiny\"\nseed: 6\n";
  other.pieces[0].facts[0].value = std::int64_t{8};
  EXPECT_EQ(ListText({SomeRun("1")}, self),
            "id  name  study       state    epochs  best    started (UTC)     training\n"
            "1   tiny  masked_moe  stopped  3       0.7500  2026-03-01 14:00  0:38\n");
  const std::string shown = ShowText(SomeRun("1"), self);
  for (const char* part :
       {"1  tiny (masked_moe), stopped", "piece 1: stopped", "data.train         1200",
        "machine.processor  abacus", "phase heads:", "phase epoch:", "  layer 2: collapsed",
        "checkpoint.safetensors  after epoch 2", "cross_entropy", "0.3333",
        "0.7500      0.5000  0.1250"}) {
    EXPECT_THAT(shown, HasSubstr(part));
  }
  EXPECT_EQ(CompareText({SomeRun("1"), other}, self),
            "figure           1        2\n"
            "                 tiny     tiny\n"
            "state            stopped  stopped\n"
            "pieces           1        1\n"
            "epochs           3        3\n"
            "best_validation  0.7500   0.7500\n"
            "best_epoch       epoch 3  epoch 3\n"
            "there: loss      0.5000   0.5000\n"
            "there: $odd      0.1250   0.1250\n"
            "last_loss        0.3333   0.3333\n"
            "seconds          37.5000  37.5000\n"
            "\nrecipe  1  2\nseed    5  6\n"
            "\nfact           1  2\nmachine.cores  2  8\n");
  const auto json = nlohmann::json::parse(CompareJson({SomeRun("1"), other}, self));
  EXPECT_EQ(json["recipe"]["seed"], nlohmann::json({"5", "6"}));
  EXPECT_EQ(json["runs"][1]["best_validation"], 0.75);
  EXPECT_EQ(nlohmann::json::parse(ShowJson(SomeRun("1"), self))["epochs"][2]["expert_load"][0][0],
            0.5);
}

}  // namespace
}  // namespace orchard::training
