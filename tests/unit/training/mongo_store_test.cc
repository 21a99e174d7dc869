// The run log in a server that speaks MongoDB's protocol: FerretDB, a process of its own.
#include "training/log/mongo_store.h"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <unistd.h>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/testing/child_process.h"
#include "tests/testing/eventually.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "training/log/recorder.h"
#include "training/log/sqlite_store.h"
#include "training/work_folder.h"

namespace orchard::training {
namespace {

namespace fs = std::filesystem;

using ::orchard::testing::IsOk;
using ::orchard::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using testing::TempDir;

/// Where tools/document-server keeps what it has built; empty where it can't.
fs::path ServersFolder() {
  const auto variable = [](const char* name) {
    const char* const value = std::getenv(name);
    return value == nullptr ? fs::path() : fs::path(value);
  };
  if (!variable("XDG_CACHE_HOME").empty()) {
    return variable("XDG_CACHE_HOME") / "orchard/document-server";
  }
  return variable("HOME").empty() ? fs::path()
                                  : variable("HOME") / ".cache/orchard/document-server";
}

/// The newest that it has built; empty where there is none.
std::string ServerProgram() {
  std::string found;
  if (!fs::exists(ServersFolder())) return found;
  for (const auto& version : fs::directory_iterator(ServersFolder())) {
    const fs::path program = version.path() / "document-server";
    if (fs::exists(program)) found = std::max(found, program.string());
  }
  return found;
}

/// A store at an address where nobody listens; null in a program without MongoDB.
std::unique_ptr<RunStore> StoreOfNobody(const std::string& who) {
  auto store = MakeMongoStore("mongodb://" + who +
                              "127.0.0.1:1/x?serverSelectionTimeoutMS=200&connectTimeoutMS=200");
  if (store.ok()) return *std::move(store);
  EXPECT_THAT(std::string(store.status().message()), HasSubstr("built without MongoDB"));
  return nullptr;
}

/// The server with its data in a folder; killed, it keeps what it has.
class Server {
 public:
  explicit Server(std::string program) : program_(std::move(program)) {
    fs::create_directories(data_.path());
  }

  /// At a free port, and when it comes again at the same one.
  void Start() {
    child_.emplace(std::vector<std::string>{program_, address_, data_.path().string()});
    const std::string said = child_->ReadOutUntil("mongodb://");
    const size_t at = said.find("mongodb://") + 10;
    address_ = said.substr(at, said.find('/', at) - at);
  }
  void Kill() {
    child_->Signal(SIGKILL);
    child_->Wait();
    child_.reset();
  }
  std::string Uri() const { return "mongodb://" + address_ + "/runs_of_a_test"; }

 private:
  std::string program_, address_ = "127.0.0.1:0";
  TempDir data_;
  std::optional<testing::ChildProcess> child_;
};

class MongoStoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (StoreOfNobody("") == nullptr) GTEST_SKIP() << "built without MongoDB";
    const std::string program = ServerProgram();
    if (program.empty()) GTEST_SKIP() << "no document server: ./dev run-log-test builds it";
    server_.emplace(program);
    server_->Start();
  }

  std::unique_ptr<RunStore> Store() {
    auto store = MakeMongoStore(server_->Uri() + "?serverSelectionTimeoutMS=500");
    EXPECT_THAT(store, IsOk());
    return *std::move(store);
  }

  static EpochRecord Epoch(size_t epoch) {
    return {.phase = "epoch",
            .epoch = epoch,
            .steps = 24,
            .loss = 1.0 / 3.0,
            .terms = {{"cross_entropy", 0.25}, {"balance.of.load", 1.0}},
            .rate_factor = 1e-5,
            .gradient_norm = 2.5,
            .validated = epoch % 2 == 0,
            .validation = epoch % 2 == 0 ? 0.75 : 0.0,
            .measures = {{"$odd", 0.125}},
            .expert_load = {{0.5, 0.25, 0.25}, {1.0, 0.0}},
            .seconds = 12.5,
            .pictures_per_second = 81.25,
            .verdicts = {{"layer 1", "even"}}};
  }

  std::optional<Server> server_;
};

RunHistory SomeRun(const std::string& id, std::vector<EpochEntry> epochs) {
  return {.run = {.id = id,
                  .name = "tiny",
                  .study = "masked_moe",
                  .recipe = "name: \"tiny\"\n",
                  .work = "/runs/tiny",
                  .facts = {{.topic = "train", .name = "st. john's", .value = std::int64_t{1200}},
                            {.topic = "data", .name = "big", .value = std::int64_t{1} << 40}}},
          .pieces = {{.number = 1,
                      .started = "2026-03-01T14:00:00.000Z",
                      .seen = "2026-03-01T14:05:00.000Z",
                      .ended = "",
                      .outcome = "",
                      .message = "",
                      .process = {.host = "a", .boot = "b", .pid = 7, .started = 8},
                      .facts = {}}},
          .epochs = std::move(epochs),
          .files = {{.name = kCheckpoint,
                     .epoch = 2,
                     .at = "2026-03-01T14:02:00.000Z",
                     .sha256 = std::string(64, 'a'),
                     .bytes = 99}}};
}

TEST_F(MongoStoreTest, WhatIsWrittenIsReadAndReplaced) {
  const auto store = Store();
  EXPECT_THAT(*store->Read("", RunStore::Detail::kAll), IsEmpty());
  RunHistory run = SomeRun("1", {{.epoch = Epoch(1), .piece = 1, .at = "2026-03-01T14:01Z"},
                                 {.epoch = Epoch(2), .piece = 1, .at = "2026-03-01T14:02Z"}});
  const RunHistory newer = SomeRun("2", {});
  ASSERT_THAT(store->Put("1", RecordsOf(run)), IsOk());
  ASSERT_THAT(store->Put("2", RecordsOf(newer)), IsOk());
  run.epochs[1].epoch.loss = 0.5;
  const RunRecord again = run.epochs[1];
  ASSERT_THAT(store->Put("1", {&again, 1}), IsOk());
  const auto all = Store()->Read("", RunStore::Detail::kAll);
  ASSERT_THAT(all, IsOk());
  ASSERT_THAT(*all, SizeIs(2));
  EXPECT_EQ(ToJson((*all)[0]).dump(1), ToJson(newer).dump(1));
  EXPECT_EQ(ToJson((*all)[1]).dump(1), ToJson(run).dump(1));
  const auto summary = store->Read("1", RunStore::Detail::kSummary);
  ASSERT_THAT(summary, IsOk());
  EXPECT_THAT((*summary)[0].epochs[1].epoch.expert_load, IsEmpty());
  EXPECT_EQ((*summary)[0].epochs[1].epoch.validation, 0.75);
  ASSERT_THAT(store->Remove("1"), IsOk());
  EXPECT_THAT(*store->Read("", RunStore::Detail::kAll), SizeIs(1));
}

TEST_F(MongoStoreTest, ARunGoesOnWhenTheServerDiesAndNothingIsLost) {
  const TempDir dir;
  fs::create_directories(dir / "work");
  absl::Time now = absl::FromUnixSeconds(1772373909);
  Recorder recorder(Store(), {.work = dir / "work",
                              .resume = false,
                              .run = {.id = {},
                                      .name = "tiny",
                                      .study = "masked_moe",
                                      .recipe = "seed: 1\n",
                                      .work = "w",
                                      .facts = {}},
                              .facts = {},
                              .now = [&] { return now += absl::Minutes(1); }});
  recorder.Begin({{.topic = "data", .name = "train", .value = std::int64_t{12}}});
  recorder.Epoch(Epoch(1));
  server_->Kill();
  recorder.Epoch(Epoch(2));
  recorder.Epoch(Epoch(3));
  const auto kept = SqliteStore(dir / "work" / kUnsentLog).Read("", RunStore::Detail::kAll);
  ASSERT_THAT(kept, IsOk());
  EXPECT_THAT(kept->front().epochs, SizeIs(2));
  server_->Start();
  // The client looks for a server that it has lost some seconds apart.
  EXPECT_TRUE(testing::Eventually([&] {
    recorder.Epoch(Epoch(4));
    return !fs::exists(dir / "work" / kUnsentLog);
  }));
  recorder.End(absl::OkStatus(), /*finished=*/true);
  const auto runs = Store()->Read("", RunStore::Detail::kAll);
  ASSERT_THAT(runs, IsOk());
  ASSERT_THAT(*runs, SizeIs(1));
  EXPECT_THAT(runs->front().epochs, SizeIs(4));
  EXPECT_EQ(runs->front().pieces[0].outcome, "finished");
}

TEST(MongoUriTest, AServerThatIsAwayIsNamedWithoutItsPassword) {
  const auto store = StoreOfNobody("someone:secret@");
  if (store == nullptr) GTEST_SKIP() << "built without MongoDB";
  EXPECT_EQ(store->place(), "mongodb://127.0.0.1:1/x");
  const RunRecord run = RunInfo{};
  EXPECT_THAT(store->Put("1", {&run, 1}),
              StatusIs(absl::StatusCode::kUnavailable,
                       AllOf(HasSubstr("127.0.0.1:1/x: "), Not(HasSubstr("secret")))));
  EXPECT_THAT(MakeMongoStore("mongodb://?"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("URI")));
}

// A restart that failed went on with a library that had been put away.
TEST(PutMongoAwayTest, LeavesNoFileAndStoresThatWork) {
  const auto before = StoreOfNobody("");
  if (before == nullptr) GTEST_SKIP() << "built without MongoDB";
  PutMongoAway();
  EXPECT_FALSE(fs::exists("/dev/shm/mongoc-" + std::to_string(getpid())));
  const auto after = StoreOfNobody("");
  ASSERT_NE(after, nullptr);
  for (RunStore* const store : {before.get(), after.get()}) {
    EXPECT_THAT(store->Read("", RunStore::Detail::kSummary),
                StatusIs(absl::StatusCode::kUnavailable, HasSubstr("127.0.0.1:1/x: ")));
  }
}

}  // namespace
}  // namespace orchard::training
