#include "router/request_record.h"

#include <algorithm>
#include <functional>
#include <latch>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "router/access_log.h"
#include "router/observers.h"
#include "router/refusal.h"
#include "router/refused.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/router/line.h"

/// The record of a request, seen from the observers of a pipeline.

namespace orchard::router {
namespace {

using orchard::testing::IsOk;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::kFruit;
using testing::kRiceDisease;
using testing::kVegetable;
using testing::Line;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;
using testing::With;
using namespace std::chrono_literals;

/// What is kept of a record.
struct Kept {
  std::optional<Method> method;
  std::string id, model;
  core::TraceContext trace;
  size_t bytes;
  Passage passage;
  absl::Status status;
  std::optional<moe::Outcome> outcome;
  std::optional<Routing> routing;
  std::vector<WaveRecord> waves;
  std::string line;
};

class Keeper final : public Observer {
 public:
  explicit Keeper(Depth depth, bool before = true) : depth_(depth), before_(before) {}

  Depth depth() const override { return depth_; }
  bool before_answer() const override { return before_; }
  void Finished(const RequestRecord& record) override {
    core::MutexLock lock(mutex_);
    kept_.push_back({.method = record.method,
                     .id = std::string(record.request_id),
                     .model = std::string(record.model),
                     .trace = record.trace,
                     .bytes = record.bytes,
                     .passage = record.passage,
                     .status = record.status,
                     .outcome = std::nullopt,
                     .routing = std::nullopt,
                     .waves = {record.waves.begin(), record.waves.end()},
                     .line = AccessLogText(record)});
    if (record.classification != nullptr) kept_.back().outcome = record.classification->outcome;
    if (record.routing != nullptr) kept_.back().routing = *record.routing;
  }

  std::vector<Kept> kept() {
    core::MutexLock lock(mutex_);
    return kept_;
  }

 private:
  const Depth depth_;
  const bool before_;
  core::Mutex mutex_;
  std::vector<Kept> kept_ ABSL_GUARDED_BY(mutex_);
};

/// What becomes of one picture; the observers hear before its answer, so it is there by then.
Kept RecordOf(Line::Options options, v1::ClassifyOptions choice = {},
              std::optional<core::Clock::time_point> deadline = std::nullopt,
              const std::function<void(Line&)>& prepare = nullptr, Depth depth = Depth::kWaves) {
  Keeper keeper(depth);
  options.observers = {&keeper};
  Line line(std::move(options));
  if (prepare) prepare(line);
  line.Start(1, std::move(choice), deadline).wait();
  line.Stop();
  const std::vector<Kept> kept = keeper.kept();
  EXPECT_THAT(kept, SizeIs(1));
  return kept.at(0);
}

TEST(RequestRecordTest, TellsOfAPictureThatWasClassified) {
  const Kept record = RecordOf({}, With(v1::EXACT));
  EXPECT_EQ(record.method, Method::kClassify);
  EXPECT_EQ(record.id, "r1");
  EXPECT_EQ(record.trace, testing::TraceOf(1));
  EXPECT_EQ(record.model, "small/7");
  EXPECT_EQ(record.bytes, testing::Picture(1).size());
  EXPECT_THAT(record.status, IsOk());
  EXPECT_EQ(record.outcome, moe::Outcome::kOk);
  EXPECT_EQ(record.passage.last(), Stage::kCombine);
  for (size_t stage = 1; stage < kStages; ++stage) {
    EXPECT_EQ(record.passage.begin(static_cast<Stage>(stage)),
              record.passage.end(static_cast<Stage>(stage - 1)));
  }
  ASSERT_TRUE(record.routing.has_value());
  EXPECT_NEAR(std::exp(record.routing->domains[kRiceDisease].log_probability), 0.7, 1e-9);
  EXPECT_TRUE(record.routing->domains[kRiceDisease].answered);
  EXPECT_FALSE(record.routing->domains[kFruit].activated);
}

TEST(RequestRecordTest, HasEachWaveWithItsReasonAndItsCalls) {
  const Kept record = RecordOf({.usual_gates = {0.4, 0.35, 0.25}}, With(v1::EXACT), std::nullopt,
                               [](Line& line) { line.AnswerWell(kRiceDisease, 0.5); });
  ASSERT_THAT(record.waves, SizeIs(2));
  EXPECT_EQ(record.waves[0].reason, WaveReason::kCouldWin);
  ASSERT_THAT(record.waves[0].calls, SizeIs(1));
  const CallRecord& first = record.waves[0].calls[0];
  EXPECT_EQ(first.domain, kRiceDisease);
  EXPECT_EQ(first.rows, 1U);
  EXPECT_EQ(first.code, absl::StatusCode::kOk);
  EXPECT_GE(first.begin, record.passage.begin(Stage::kExperts));
  EXPECT_LE(first.end, record.passage.end(Stage::kExperts));
  EXPECT_EQ(record.waves[1].calls[0].domain, kFruit);
}

TEST(RequestRecordTest, HasNoWavesUnlessSomebodyWantsThem) {
  EXPECT_THAT(RecordOf({}, With(v1::DENSE), std::nullopt, nullptr, Depth::kOutcome).waves,
              IsEmpty());
}

TEST(RequestRecordTest, AFailedCallHasItsCodeAndItsDomainTheReason) {
  const Kept record =
      RecordOf({.has_expert = {true, true, false}}, With(v1::DENSE), std::nullopt, [](Line& line) {
        line.expert(kFruit).AnswerBy(
            [](const auto&, const auto&) { return absl::InternalError("broken"); });
      });
  ASSERT_THAT(record.waves, SizeIs(1));
  EXPECT_EQ(record.waves[0].reason, WaveReason::kPolicy);
  ASSERT_THAT(record.waves[0].calls, SizeIs(2));  // Vegetable was not asked.
  EXPECT_EQ(record.waves[0].calls[1].code, absl::StatusCode::kInternal);
  EXPECT_EQ(record.routing->domains[kFruit].missing_reason, experts::MissingReason::kFailed);
  EXPECT_EQ(record.routing->domains[kVegetable].missing_reason, experts::MissingReason::kDown);
  EXPECT_THAT(record.line, HasSubstr("degraded=true missing=fruit:failed,vegetable:down"));
}

/// An expert whose first endpoint refuses and whose second one never answers. Then it runs `then`.
class AskingExpert final : public experts::Expert {
 public:
  explicit AskingExpert(std::function<void()> then = [] {}) : then_(std::move(then)) {}
  ~AskingExpert() override { Stop(); }

  void Score(experts::SubBatch, experts::CallContext context, Done done) override {
    ASSERT_NE(context.attempts, nullptr);
    using Kind = experts::AttemptRecord::Kind;
    experts::AttemptRecord first{
        .kind = Kind::kFirst, .endpoint = "10.0.0.1:1", .begin = core::Clock::now()};
    const size_t number = context.attempts->Began(first);
    first.end = core::Clock::now();
    first.code = absl::StatusCode::kResourceExhausted;
    context.attempts->Ended(number, first);
    context.attempts->Began(
        {.kind = Kind::kRetry, .endpoint = "10.0.0.2:1", .begin = core::Clock::now()});
    done_.push_back(std::move(done));
    then_();
  }
  void Stop() override {
    for (Done& done : std::exchange(done_, {})) {
      std::move(done)({.scores = absl::UnavailableError("stopped")});
    }
  }
  std::optional<experts::MissingReason> Unavailable() const override { return std::nullopt; }

 private:
  const std::function<void()> then_;
  std::vector<Done> done_;  // One call comes, on one thread; it is stopped when all is over.
};

/// The one call of a picture that nobody answered was tried twice, and the second attempt was out.
void ExpectBothAttempts(const Kept& record, absl::StatusCode given_up) {
  ASSERT_THAT(record.waves, SizeIs(1));
  ASSERT_THAT(record.waves[0].calls, SizeIs(1));
  const CallRecord& call = record.waves[0].calls[0];
  EXPECT_EQ(call.domain, kRiceDisease);
  EXPECT_EQ(call.code, given_up);
  ASSERT_NE(call.attempts, nullptr);
  ASSERT_THAT(*call.attempts, SizeIs(2));
  const experts::AttemptRecord& refused = call.attempts->at(0);
  EXPECT_EQ(refused.code, absl::StatusCode::kResourceExhausted);
  EXPECT_LE(refused.end, call.end);
  const experts::AttemptRecord& out = call.attempts->at(1);
  EXPECT_EQ(out.endpoint, "10.0.0.2:1");
  EXPECT_EQ(out.kind, experts::AttemptRecord::Kind::kRetry);
  EXPECT_EQ(out.code, given_up);
  EXPECT_GE(out.begin, call.begin);
  EXPECT_EQ(out.end, call.end);
}

/// What becomes of a picture whose expert is never heard of; the expert goes with the line.
Kept RecordOfUnanswered(
    Pipeline::Settings settings, std::stop_source caller = {}, std::function<void()> then = [] {},
    std::optional<core::Clock::time_point> deadline = std::nullopt) {
  Keeper keeper(Depth::kWaves);
  Line line({.settings = settings,
             .rice_expert = std::make_unique<AskingExpert>(std::move(then)),
             .observers = {&keeper}});
  line.Start(1, With(v1::HARD), deadline, caller.get_token()).wait();
  line.fleet().Stop();
  line.Stop();
  const std::vector<Kept> kept = keeper.kept();
  EXPECT_THAT(kept, SizeIs(1));
  return kept.at(0);
}

TEST(RequestRecordTest, OfACallThatWasLateHasTheAttemptsThatWereOut) {
  const Kept record = RecordOfUnanswered({.default_deadline = 1h, .expert_timeout = 20ms});
  ExpectBothAttempts(record, absl::StatusCode::kDeadlineExceeded);
}

TEST(RequestRecordTest, OfAPictureThatWasGivenUpHasTheAttemptsThatWereOut) {
  // Long enough to come to the expert on a busy machine.
  const Kept record =
      RecordOfUnanswered({.expert_timeout = 1h}, {}, [] {}, core::Clock::now() + 2s);
  EXPECT_EQ(record.status.code(), absl::StatusCode::kDeadlineExceeded);
  ExpectBothAttempts(record, absl::StatusCode::kDeadlineExceeded);
}

TEST(RequestRecordTest, OfACallerThatWentHasTheAttemptsThatWereOut) {
  std::stop_source caller;
  const Kept record = RecordOfUnanswered({.default_deadline = 1h, .expert_timeout = 1h}, caller,
                                         [caller]() mutable { caller.request_stop(); });
  EXPECT_EQ(record.status.code(), absl::StatusCode::kCancelled);
  ExpectBothAttempts(record, absl::StatusCode::kCancelled);
}

TEST(RequestRecordTest, NobodyWritesAttemptsDownUnlessSomebodyWantsThem) {
  Line line;
  EXPECT_THAT(line.Classify(), IsOk());
  EXPECT_EQ(line.expert(kRiceDisease).asked().at(0).context.attempts, nullptr);
}

TEST(RequestRecordTest, OfWhatNobodyAnsweredHasTheRoutingToo) {
  const Kept record = RecordOf({.has_expert = {false, true, true}}, With(v1::HARD));
  EXPECT_EQ(record.status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(record.outcome, std::nullopt);
  ASSERT_TRUE(record.routing.has_value());
  EXPECT_EQ(record.routing->domains[kRiceDisease].missing_reason, experts::MissingReason::kDown);
}

TEST(RequestRecordTest, TellsInWhichStageARequestEnded) {
  const Kept refused = RecordOf({.settings = {.limits = {.max_bytes = 100}}});
  EXPECT_EQ(refused.passage.last(), Stage::kAdmission);
  EXPECT_THAT(refused.line, HasSubstr("stage=admission"));
  const Kept late = RecordOf({}, {}, core::Clock::now() - 1ms);
  EXPECT_EQ(late.passage.last(), Stage::kAdmission);
  const Kept failed = RecordOf({.on_encode = [] { return absl::InternalError("broken"); }});
  EXPECT_EQ(failed.passage.last(), Stage::kEncode);
  EXPECT_FALSE(failed.routing.has_value());
  const Kept large = RecordOf({.settings = {.limits = {.max_pixels = 1}}});
  EXPECT_EQ(large.passage.last(), Stage::kDecode);
}

TEST(RequestRecordTest, ARefusedJobHasOne) {
  Keeper keeper(Depth::kOutcome);
  Line line({.observers = {&keeper}});
  bool answered = false;
  line.pipeline().Refuse({.image = "four", .request_id = "r9"}, absl::InvalidArgumentError("no"),
                         [&](const absl::StatusOr<Classification>& answer) {
                           answered = absl::IsInvalidArgument(answer.status());
                         });
  EXPECT_TRUE(answered);
  ASSERT_THAT(keeper.kept(), SizeIs(1));
  EXPECT_EQ(keeper.kept()[0].id, "r9");
  EXPECT_EQ(keeper.kept()[0].bytes, 4U);
}

TEST(ObserversTest, SomeHearBeforeTheAnswerAndTheOthersAfterIt) {
  Keeper before(Depth::kOutcome, /*before=*/true);
  Keeper after(Depth::kOutcome, /*before=*/false);
  Line line({.observers = {&after, &before}});
  size_t heard_before = 0, heard_after = 1;
  line.pipeline().Refuse({.image = "four"}, absl::InvalidArgumentError("no"), [&](const auto&) {
    heard_before = before.kept().size();
    heard_after = after.kept().size();
  });
  EXPECT_EQ(heard_before, 1U);
  EXPECT_EQ(heard_after, 0U);
  line.Stop();
  EXPECT_THAT(after.kept(), SizeIs(1));
}

/// Hears after answers, and remembers on which threads. Off the thread that made it, it waits until
/// it is released.
class Listener final : public Observer {
 public:
  void Finished(const RequestRecord& record) override {
    const bool here = std::this_thread::get_id() == maker_;
    if (!here) {
      busy_.count_down(busy_.try_wait() ? 0 : 1);
      release_.wait();
    }
    core::MutexLock lock(mutex_);
    heard_.push_back({.id = std::string(record.request_id), .here = here});
  }
  void WaitUntilBusy() { busy_.wait(); }
  void Release() { release_.count_down(); }

  struct Heard {
    std::string id;
    bool here;
  };
  std::vector<Heard> heard() {
    core::MutexLock lock(mutex_);
    return heard_;
  }
  size_t HeardHere() {
    const std::vector<Heard> all = heard();
    return static_cast<size_t>(std::ranges::count(all, true, &Heard::here));
  }

 private:
  const std::thread::id maker_ = std::this_thread::get_id();
  std::latch busy_{1}, release_{1};
  core::Mutex mutex_;
  std::vector<Heard> heard_ ABSL_GUARDED_BY(mutex_);
};

/// The refusal of a job, on this thread, which stands for one of gRPC's.
void Refuse(Line& line, const std::string& id) {
  bool answered_here = false;
  const std::thread::id here = std::this_thread::get_id();
  // What the record needs of the job goes with the answer.
  auto image = std::make_unique<std::string>("four");
  const std::string_view bytes = *image;
  line.pipeline().Refuse({.image = bytes, .request_id = id}, absl::InvalidArgumentError("no"),
                         [&answered_here, here, image = std::move(image)](const auto&) {
                           answered_here = std::this_thread::get_id() == here;
                         });
  EXPECT_TRUE(answered_here);
}

TEST(RefusedTest, IsAnsweredAtOnceAndToldOnAnotherThread) {
  Listener listener;
  Line line({.settings = {.limits = {.max_bytes = 100}}, .observers = {&listener}});
  Refuse(line, "r9");
  EXPECT_EQ(line.Classify(7).status().code(), absl::StatusCode::kInvalidArgument);  // Too large.
  listener.Release();  // Nobody has waited for it.
  line.Stop();
  const std::vector<Listener::Heard> heard = listener.heard();
  ASSERT_THAT(heard, SizeIs(2));
  EXPECT_EQ(heard[0].id, "r9");
  EXPECT_EQ(heard[1].id, "r7");
  EXPECT_EQ(listener.HeardHere(), 0U);
}

TEST(RefusedTest, AFloodFillsItsQueueAndIsToldWhereItIsRefusedFromThere) {
  Listener listener;
  Line line({.observers = {&listener}});
  Refuse(line, "first");
  listener.WaitUntilBusy();
  for (size_t i = 0; i < Refused::kMostWaiting; ++i) Refuse(line, "waits");
  EXPECT_EQ(listener.HeardHere(), 0U);
  for (int i = 0; i < 3; ++i) Refuse(line, "one more");
  EXPECT_EQ(listener.HeardHere(), 3U);
  listener.Release();
  line.Stop();
  EXPECT_THAT(listener.heard(), SizeIs(1 + Refused::kMostWaiting + 3));
  EXPECT_EQ(listener.HeardHere(), 3U);
}

TEST(ObserversTest, ARecordIsAsDeepAsTheDeepestWish) {
  Keeper shallow(Depth::kOutcome);
  Keeper deep(Depth::kWaves);
  EXPECT_EQ(Observers().depth(), Depth::kOutcome);
  EXPECT_EQ(Observers({&shallow}).depth(), Depth::kOutcome);
  EXPECT_EQ(Observers({&shallow, &deep}).depth(), Depth::kWaves);
}

TEST(AccessLogTest, ALineTellsTheWholeRequest) {
  const Kept record = RecordOf({}, With(v1::DENSE));
  EXPECT_THAT(record.line, StartsWith("event=classify request_id=r1 "
                                      "trace_id=00000000000000010000000000000002 code=OK ms="));
  EXPECT_THAT(record.line, HasSubstr(" policy=DENSE experts=3 outcome=OK degraded=false"));
  EXPECT_THAT(record.line, Not(HasSubstr("missing=")));
}

TEST(AccessLogTest, AFloodOfThoseWhoLostTheirPlacesIsOneLine) {
  Passage passage(core::Clock::now());
  passage.Enter(Stage::kDecodeQueue, core::Clock::now());
  const absl::Status evicted = Refusal(Shed::kBatchPriority, "others need the place", {});
  AccessLog log;
  ::testing::internal::CaptureStderr();
  for (int i = 0; i < 50; ++i) {
    log.Finished({.method = Method::kClassify,
                  .request_id = "r",
                  .trace = {},
                  .model = "small/7",
                  .passage = passage,
                  .status = evicted});
  }
  const std::string text = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(text, HasSubstr(" stage=decode_queue "));
  EXPECT_EQ(std::ranges::count(text, '\n'), 1) << text;
}

TEST(AccessLogTest, ARefusalHasItsReasonAndStage) {
  const Kept record = RecordOf({.settings = {.limits = {.max_bytes = 100}}});
  EXPECT_THAT(record.line, AllOf(HasSubstr(" code=INVALID_ARGUMENT "),
                                 HasSubstr(" stage=admission reason=\"the picture has ")));
}

}  // namespace
}  // namespace orchard::router
