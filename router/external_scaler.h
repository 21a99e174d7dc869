#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <list>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "core/clock.h"
#include "core/mutex.h"
#include "externalscaler/externalscaler.grpc.pb.h"
#include "router/demand_board.h"
#include "rpc/state_streams.h"

namespace orchard::router {

class PeerWatch;

/// KEDA's external scaler: how many replicas the expert of a domain should have, by what this
/// router and its peers were asked. Thread-safe; boards and peers outlive it, it outlives its
/// server.
///
/// `scalerMetadata` names the `domain`, and may name the `model` (else it is the first); other keys
/// are KEDA's own, and nobody's fault. Its one metric is `desired-replicas`, of which one replica
/// is for 1.
///
/// An answer waits until the peers have been heard, a second at most: who was not asked lately
/// watches nobody, and a part of the demand taken for all of it would shrink a domain.
///
/// Errors: INVALID_ARGUMENT (no domain is named), NOT_FOUND (the model, the domain or the metric is
/// not here; with what is), FAILED_PRECONDITION (experts run in this process), RESOURCE_EXHAUSTED
/// (too many streams).
class ExternalScaler final : public externalscaler::ExternalScaler::CallbackService {
 public:
  static constexpr char kMetric[] = "desired-replicas";

  struct Options {
    size_t max_streams = 4096;
    size_t max_waiting = 4096;  ///< unary calls that wait for peers
    /// An older stream ends with OK; zero: never. Below the age at which the server ends whole
    /// connections: KEDA comes again two seconds after an OK, but after errors, as a connection
    /// that is cut gives, later and later, up to a minute.
    core::Clock::duration stream_age = std::chrono::minutes(4);
    core::Clock::duration patience = std::chrono::seconds(1);  ///< for peers
  };

  /// One model that is scaled.
  struct Model {
    DemandBoard* board;
    PeerWatch* peers = nullptr;  ///< null: there are none
  };

  /// `models`: at least one.
  ExternalScaler(std::vector<Model> models, Options options);
  ExternalScaler(DemandBoard& board, PeerWatch* peers, Options options)
      : ExternalScaler({Model{.board = &board, .peers = peers}}, options) {}
  ExternalScaler(DemandBoard& board, PeerWatch* peers) : ExternalScaler(board, peers, Options()) {}
  ~ExternalScaler() override;

  grpc::ServerUnaryReactor* IsActive(grpc::CallbackServerContext* context,
                                     const externalscaler::ScaledObjectRef* request,
                                     externalscaler::IsActiveResponse* response) override;
  grpc::ServerWriteReactor<externalscaler::IsActiveResponse>* StreamIsActive(
      grpc::CallbackServerContext* context,
      const externalscaler::ScaledObjectRef* request) override;
  grpc::ServerUnaryReactor* GetMetricSpec(grpc::CallbackServerContext* context,
                                          const externalscaler::ScaledObjectRef* request,
                                          externalscaler::GetMetricSpecResponse* response) override;
  grpc::ServerUnaryReactor* GetMetrics(grpc::CallbackServerContext* context,
                                       const externalscaler::GetMetricsRequest* request,
                                       externalscaler::GetMetricsResponse* response) override;

  /// Open streams end, with OK, and calls that wait are answered; no further one waits. Idempotent.
  void EndStreams() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  using Active = externalscaler::IsActiveResponse;
  /// What a call is about.
  struct Place {
    size_t model;
    size_t domain;
  };
  /// A unary call that waits for peers.
  struct Waiting {
    Place place;
    core::Clock::time_point until;
    std::function<void(const Demand& total)> answer;
  };

  absl::StatusOr<Place> PlaceOf(const externalscaler::ScaledObjectRef& request) const;
  void AnswerWhenHeard(Place place, std::function<void(const Demand& total)> answer)
      ABSL_LOCKS_EXCLUDED(mutex_);
  static bool Heard(const Model& model);
  void Told(size_t model) ABSL_LOCKS_EXCLUDED(mutex_);
  void TellStreams(size_t model, const std::vector<Demand>& total, bool heard);
  size_t KeyOf(Place place) const { return place.model * kMostDomains + place.domain; }

  static constexpr size_t kMostDomains = size_t{1} << 32;  // of a model, for the streams' keys

  const std::vector<Model> models_;
  const Options options_;
  rpc::StateStreams<Active> streams_;
  core::Mutex mutex_;
  std::list<Waiting> waiting_ ABSL_GUARDED_BY(mutex_);
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<DemandBoard::Subscription> subscriptions_;  // Last: they use the rest.
};

}  // namespace orchard::router
