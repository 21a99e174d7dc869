#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

#include "core/clock.h"
#include "core/timer_queue.h"
#include "core/trace_context.h"
#include "moe/policy.h"
#include "router/catalogue.h"
#include "router/combine_stage.h"
#include "router/decode_stage.h"
#include "router/encode_stage.h"
#include "router/estimates.h"
#include "router/fair_share.h"
#include "router/metrics.h"
#include "router/observers.h"
#include "router/options.h"
#include "router/refused.h"
#include "router/request.h"
#include "router/request_record.h"
#include "router/scatter.h"
#include "router/served_model.h"
#include "router/waiting_room.h"
#include "vision/decode.h"

namespace orchard::router {

/// One picture to classify.
struct Job {
  /// Whose answer is wanted; null only for a job that is refused (Pipeline::Refuse).
  std::shared_ptr<ServedModel> model = nullptr;
  std::string_view image = {};  ///< a file's bytes; they must live until `done` is called
  Options options = {};
  std::optional<core::Clock::time_point> deadline = std::nullopt;  ///< absent: the default
  std::optional<Method> method = std::nullopt;  ///< absent: asked within the process
  std::string request_id = {};
  core::TraceContext trace = {};  ///< `span` is this request's own
  std::string caller = {};  ///< whose share of the places it takes; empty: nobody's in particular
  Priority priority = Priority::kInteractive;
  /// When it came; absent: now.
  std::optional<core::Clock::time_point> arrived = std::nullopt;
  /// Asks to stop when nobody waits any more. A picture that waits for experts is then answered
  /// soon; any other one when a worker comes to it.
  std::stop_token cancelled = {};
};

/// The line, assembled: admit → decode → encode → scatter → combine → answer. Knows no gRPC: the
/// service and the evaluation call it alike. It lives as long as the process and has no model: each
/// request brings its own (served_model.h), and all share threads, places and estimates.
/// Thread-safe.
class Pipeline {
 public:
  struct Settings {
    vision::Limits limits = {};
    moe::PolicyKind default_policy = moe::PolicyKind::kExact;
    std::chrono::nanoseconds default_deadline = std::chrono::seconds(10);
    /// No request stays longer, whatever deadline its caller gave.
    std::chrono::nanoseconds max_deadline = std::chrono::minutes(10);
    size_t in_flight = 256;  ///< requests in progress; one more is refused
    size_t queue = 256;      ///< requests that wait to be decoded; one more is refused
    /// Bytes of the pictures in progress; what goes beyond is refused.
    std::uint64_t in_flight_bytes = std::numeric_limits<std::uint64_t>::max();
    /// What one expert has for its answer; never more than the picture has.
    std::chrono::nanoseconds expert_timeout = std::chrono::seconds(2);
    size_t decode_workers = 1;
    size_t encode_workers = 1;
    size_t combine_workers = 2;  ///< threads that plan and combine what remote experts answer
    size_t max_batch = 4;        ///< pictures a forward pass
    std::function<void()> start_encode_worker = nullptr;  ///< first thing on each encode thread
    /// How many domains each model has, by its place (ServedModel::place).
    std::vector<size_t> domains = {};
  };

  /// Everything given outlives the pipeline, as does every model of a job. `observers` hear of each
  /// request after the metrics do.
  Pipeline(Settings settings, core::TimerQueue& timers, Metrics& metrics,
           const std::vector<Observer*>& observers = {});

  /// Answers what is in progress: the last request's `done` has returned when this has.
  ~Pipeline() = default;

  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;

  /// What a caller of the wire chose of a model, completed with this server's defaults. Errors:
  /// ParseOptions'.
  absl::StatusOr<Options> Parse(const v1::ClassifyOptions& options,
                                const Catalogue& catalogue) const {
    return ParseOptions(options, catalogue, settings_.default_policy);
  }

  /// Classifies; `done` is called exactly once: on this thread when the request is refused,
  /// otherwise on one of the pipeline's. `done` must be quick.
  ///
  /// Errors: INVALID_ARGUMENT (no picture, with value and limit), RESOURCE_EXHAUSTED (places, the
  /// caller's share of them, bytes, queue: refusal.h; also after a while, when somebody with a
  /// better right came), DEADLINE_EXCEEDED (it can't be kept), UNAVAILABLE (no expert
  /// answered: their names), CANCELLED (`cancelled` asked for it), INTERNAL (the encoder failed,
  /// or we did).
  void Start(Job job, Done done);

  /// Whether a job will be refused whatever its picture is, for one that has not come yet: its
  /// `model`, `options` and `image` don't count. OK promises nothing: Start() judges all of it.
  ///
  /// Errors: RESOURCE_EXHAUSTED and DEADLINE_EXCEEDED, as Start().
  absl::Status Foresee(const Job& job) const;

  /// Ends a job that can't be started with `why`, for its record's sake. `done` runs on this
  /// thread.
  void Refuse(Job job, const absl::Status& why, Done done);

  /// What is in progress now, for gauges.
  Metrics::Load Load() const;

  const Settings& settings() const { return settings_; }

 private:
  core::Clock::time_point GiveUpAt(const Job& job, core::Clock::time_point now) const;
  RequestPtr MakeRequest(Job job, core::Clock::time_point now, Done done) const;
  absl::Status CheckAdmission(Request& request, const FairShare::Ask& ask,
                              core::Clock::time_point now);
  void Enter(RequestPtr request, const FairShare::Ask& ask);
  absl::Status RefusalFor(Shed reason) const;
  Backlog Ahead(FairShare::Ahead ahead, const WaitingRoom<RequestPtr>::Load& load) const;

  const Settings settings_;
  const Observers observers_;
  Refused refused_;
  Estimates estimates_;
  WaitingRoom<RequestPtr> room_;
  // The stages from the last to the first: an earlier one is destroyed first and hands on what it
  // holds to the later ones, which still live.
  ScatterStage scatter_;
  EncodeStage encode_;
  DecodeStage decode_;
};

}  // namespace orchard::router
