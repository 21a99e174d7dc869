#include "experts/expert_service.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "core/clock.h"
#include "core/cpu_time.h"
#include "core/trace_context.h"
#include "core/without_throwing.h"
#include "experts/internal/score_pool.h"
#include "experts/internal/score_queue.h"
#include "experts/metadata.h"
#include "experts/wire.h"
#include "moe/verdict.h"
#include "rpc/status.h"
#include "server/limited_log.h"

namespace orchard::experts {
namespace {

using core::Clock;

/// How long a refused caller should stay away: about the time of a full queue's head runs.
constexpr std::chrono::milliseconds kPushback{50};

std::string Micros(Clock::duration duration) {
  return std::to_string(std::chrono::duration_cast<std::chrono::microseconds>(duration).count());
}

std::string Nanos(double seconds) { return std::to_string(std::llround(seconds * 1e9)); }

constexpr int kNamedCallers = 8;  // a line is for people

/// A field of the first callers, joined by commas; what a stranger sent stays a line's length.
template <typename Field>
std::string Joined(const v1::ScoreRequest& request, Field field) {
  std::string joined;
  for (int i = 0; i < std::min(request.callers_size(), kNamedCallers); ++i) {
    const std::string text = field(request.callers(i));
    if (text.empty()) continue;
    absl::StrAppend(&joined, joined.empty() ? "" : ",", text.substr(0, 128));
  }
  if (request.callers_size() > kNamedCallers) joined += ",...";
  return joined.empty() ? "-" : joined;
}

/// Empty when there is none.
std::string TraceId(const v1::ScoreCaller& caller) {
  const std::optional<core::TraceContext> trace = core::ParseTraceparent(caller.traceparent());
  return trace ? core::TraceId(*trace) : "";
}

}  // namespace

struct ExpertService::Domain {
  const ExpertSpec* spec;
  DomainMetrics* metrics;
  std::unique_ptr<internal::ScoreQueue> queue;
};

/// One Score call. gRPC owns its life: created in the handler, deleted in OnDone, which comes after
/// Finish; until then request, response and context are there.
class ExpertService::ScoreCall final : public grpc::ServerUnaryReactor,
                                       public internal::PendingScore {
 public:
  ScoreCall(ExpertService& service, grpc::CallbackServerContext& context,
            const v1::ScoreRequest& request, v1::ScoreResponse& response)
      : service_(service), context_(context), request_(request), response_(response) {}

  /// Checks and hands over. Last thing that the handler does: `this` may be gone after it.
  void Start() {
    domain_ = service_.Find(request_.domain());
    absl::StatusOr<size_t> rows =
        domain_ != nullptr ? CheckRequest(request_, *domain_->spec) : NotServed();
    if (!rows.ok()) return Finish(rows.status(), {}, service_.in_flight());
    rows_ = *rows;
    service_.AddInFlight(rows_);
    if (const absl::Status queued = domain_->queue->Submit(this); !queued.ok()) Fail(queued, {});
  }

  /// The caller cancelled, its deadline passed, or its connection broke. May come while a worker
  /// is at it.
  void OnCancel() override {
    if (gone_.exchange(true) || domain_ == nullptr) return;
    domain_->metrics->Abandoned();
  }

  void OnDone() override { delete this; }

  const v1::Tensor& features() const override { return request_.features(); }
  size_t rows() const override { return rows_; }
  Clock::time_point arrived() const override { return arrived_; }

  absl::Status StillWanted() const override {
    if (context_.deadline() <= std::chrono::system_clock::now()) {
      return absl::DeadlineExceededError("the deadline passed while the call waited");
    }
    if (!gone_) return absl::OkStatus();
    return absl::UnavailableError("the caller went away while the call waited");
  }

  void Answer(const model::ScoreBatch& scores, size_t first, Timing timing) override {
    const absl::Status written = core::WithoutThrowing("writing the scores", [&] {
      WriteResponse(scores, first, rows_, domain_->spec->part_version, response_);
      return absl::OkStatus();
    });
    Finish(written, timing, service_.RemoveInFlight(rows_));
  }

  void Fail(const absl::Status& status, Timing timing) override {
    Finish(status, timing, service_.RemoveInFlight(rows_));
  }

 private:
  absl::Status NotServed() const {
    const std::string served = absl::StrJoin(
        service_.domains_, ", ",
        [](std::string* out, const auto& domain) { absl::StrAppend(out, domain.first); });
    return absl::NotFoundError(absl::StrCat("this process does not serve the domain \"",
                                            request_.domain(), "\"; it serves: ", served));
  }

  /// Hides ServerUnaryReactor::Finish: every way out passes here.
  void Finish(const absl::Status& status, Timing timing, size_t in_flight) {
    context_.AddTrailingMetadata(kQueueTrailer, Micros(timing.queue));
    context_.AddTrailingMetadata(kComputeTrailer, Micros(timing.compute));
    context_.AddTrailingMetadata(kInFlightTrailer, std::to_string(in_flight));
    if (domain_ != nullptr) {
      if (const std::optional<double> seconds = domain_->queue->service_seconds()) {
        context_.AddTrailingMetadata(kServiceTrailer, Nanos(*seconds));
      }
    }
    Count(status);
    grpc::ServerUnaryReactor::Finish(
        status.ok() ? grpc::Status::OK : rpc::ToGrpc(ForCaller(status), context_, kPushback));
  }

  /// With a reason for programs, and whose answer it would have been.
  absl::Status ForCaller(const absl::Status& error) const {
    rpc::ErrorInfo info = rpc::ErrorInfoOf(error).value_or(
        rpc::ErrorInfo{.reason = std::string(rpc::ReasonOf(error.code())), .metadata = {}});
    info.metadata["model"] = service_.model_;
    info.metadata["domain"] = request_.domain();
    return rpc::WithErrorInfo(error, info.reason, info.metadata);
  }

  void Count(const absl::Status& status) const {
    DomainMetrics& metrics = domain_ != nullptr ? *domain_->metrics : service_.metrics_.foreign();
    metrics.Called(status.code());
    if (absl::IsFailedPrecondition(status)) metrics.Mismatched();
    const server::LogLevel level = LevelOf(status);
    if (!server::LogEnabled(level)) return;
    const std::string ids =
        Joined(request_, [](const auto& caller) { return caller.request_id(); });
    const std::string traces = Joined(request_, TraceId);
    server::LogLimited(
        level, "score",
        absl::StrCat(request_.domain().substr(0, 64), " ", absl::StatusCodeToString(status.code())),
        {{"request_id", ids},
         {"trace_id", traces},
         {"model", service_.model_},
         {"domain", request_.domain()},
         {"peer", context_.peer()},
         {"code", status.code()},
         {"rows", rows_},
         {"ms", core::Milliseconds(Clock::now() - arrived_)},
         {"message", std::string_view(status.message().data(), status.message().size())}});
  }

  /// A refusal that only an operator can cure is said; what a full queue or a caller that has gone
  /// would say a thousand times a second is counted.
  static server::LogLevel LevelOf(const absl::Status& status) {
    if (absl::IsInternal(status)) return server::LogLevel::kError;
    const bool misplaced = absl::IsFailedPrecondition(status) || absl::IsNotFound(status) ||
                           absl::IsInvalidArgument(status);
    return misplaced ? server::LogLevel::kWarning : server::LogLevel::kDebug;
  }

  ExpertService& service_;
  grpc::CallbackServerContext& context_;
  const v1::ScoreRequest& request_;
  v1::ScoreResponse& response_;
  const Clock::time_point arrived_ = Clock::now();
  Domain* domain_ = nullptr;
  size_t rows_ = 0;
  std::atomic<bool> gone_ = false;
};

namespace {

/// What may be said of each layer that routes, by what was scored so far.
void AddLayers(const ServedExpert& expert, v1::ExpertDomain& domain) {
  if (!expert.layer_loads) return;
  for (const model::LayerLoad& load : expert.layer_loads()) {
    const moe::Judgement judgement = moe::Judge({.sums = load.sums, .pictures = load.pictures});
    v1::LayerLoad& layer = *domain.add_layers();
    layer.set_pictures(static_cast<double>(load.pictures));
    layer.set_tokens(load.sums.tokens);
    for (const double share : load.Shares()) layer.add_share(share);
    layer.set_verdict(std::string(moe::NameOf(judgement.verdict)));
    layer.set_reason(judgement.reason);
  }
}

std::vector<ExpertSpec> Specs(const std::vector<ServedExpert>& experts) {
  std::vector<ExpertSpec> specs;
  for (const ServedExpert& expert : experts) specs.push_back(expert.spec);
  return specs;
}

}  // namespace

ExpertService::ExpertService(std::vector<ServedExpert> experts, const std::string& model,
                             const std::string& version, prometheus::Registry& registry,
                             ExpertServiceOptions options)
    : experts_(std::move(experts)),
      model_(model),
      model_version_(absl::StrCat(model, "/", version)),
      metrics_(registry, Specs(experts_), model, version),
      pool_(std::make_unique<internal::ScorePool>(
          internal::ScorePoolOptions{.workers = options.workers,
                                     .max_waiting_bytes = options.max_waiting_bytes,
                                     .start_worker = options.start_worker,
                                     .service_time = {.domains = experts_.size(),
                                                      .cpus = options.cpus,
                                                      .cpu_time = core::ProcessCpuTime}})) {
  metrics_.SetCapacity({.workers = options.workers,
                        .waiting_calls = options.max_waiting,
                        .waiting_rows = options.max_waiting_rows,
                        .waiting_bytes = options.max_waiting_bytes});
  for (size_t i = 0; i < experts_.size(); ++i) {
    const ExpertSpec& spec = experts_[i].spec;
    auto queue = std::make_unique<internal::ScoreQueue>(
        spec, experts_[i].scorer, metrics_.domain(i),
        internal::ScoreQueueOptions{.domain = i,
                                    .max_batch = options.max_batch,
                                    .max_waiting = options.max_waiting,
                                    .max_waiting_rows = options.max_waiting_rows},
        *pool_);
    domains_[spec.domain] =
        std::make_unique<Domain>(Domain{&spec, &metrics_.domain(i), std::move(queue)});
  }
}

ExpertService::~ExpertService() = default;

ExpertService::Domain* ExpertService::Find(const std::string& domain) {
  const auto found = domains_.find(domain);
  return found == domains_.end() ? nullptr : found->second.get();
}

void ExpertService::AddInFlight(size_t rows) {
  in_flight_.fetch_add(rows);
  metrics_.AddInFlight(rows);
}

size_t ExpertService::RemoveInFlight(size_t rows) {
  metrics_.RemoveInFlight(rows);
  return in_flight_.fetch_sub(rows) - rows;
}

void ExpertService::RefreshMetrics() {
  for (const ServedExpert& expert : experts_) {
    if (!expert.layer_loads) continue;
    const std::vector<model::LayerLoad> loads = expert.layer_loads();
    for (size_t layer = 0; layer < loads.size(); ++layer) {
      metrics_.SetLayerLoad(expert.spec.domain, layer, loads[layer].Shares());
    }
  }
}

size_t ExpertService::MaxRequestBytes() const {
  size_t bytes = 0;
  for (const ServedExpert& expert : experts_) {
    bytes = std::max(bytes, experts::MaxRequestBytes(expert.spec));
  }
  return bytes;
}

grpc::ServerUnaryReactor* ExpertService::Score(grpc::CallbackServerContext* context,
                                               const v1::ScoreRequest* request,
                                               v1::ScoreResponse* response) {
  auto* const call = new ScoreCall(*this, *context, *request, *response);
  call->Start();  // Even if it finishes at once: OnDone comes only after this handler returned.
  return call;
}

grpc::ServerUnaryReactor* ExpertService::Describe(grpc::CallbackServerContext* context,
                                                  const v1::DescribeRequest* /*request*/,
                                                  v1::ExpertDescription* response) {
  response->set_model_version(model_version_);
  response->set_in_flight(static_cast<std::uint32_t>(in_flight()));
  for (const ServedExpert& expert : experts_) {
    v1::ExpertDomain& domain = *response->add_domains();
    domain.set_domain(expert.spec.domain);
    domain.set_branch(expert.spec.branch);
    domain.mutable_classes()->Add(expert.spec.classes.begin(), expert.spec.classes.end());
    domain.set_part_version(expert.spec.part_version);
    domain.set_encoder_fingerprint(expert.spec.encoder_fingerprint);
    domain.set_feature_kind(ToWire(expert.spec.kind));
    domain.set_part_digest(expert.spec.part_digest);
    const Domain* const served = Find(expert.spec.domain);
    domain.set_service_seconds(served->queue->service_seconds().value_or(0.0));
    AddLayers(expert, domain);
  }
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

}  // namespace orchard::experts
