#pragma once

#include <cstddef>
#include <vector>

#include "orchard/v1/demand.grpc.pb.h"
#include "router/demand_board.h"
#include "rpc/state_streams.h"

namespace orchard::router {

/// v1::Demand over the boards of a router's models: tells other routers what this one needs.
/// Thread-safe; the boards outlive it.
class DemandService final : public v1::Demand::CallbackService {
 public:
  /// `boards`: one a model, at least one. `max_streams`: routers that watch a model at a time,
  /// times models.
  explicit DemandService(std::vector<DemandBoard*> boards, size_t max_streams = 4096);
  explicit DemandService(DemandBoard& board, size_t max_streams = 4096)
      : DemandService(std::vector{&board}, max_streams) {}
  ~DemandService() override;

  grpc::ServerWriteReactor<v1::DemandReport>* Watch(grpc::CallbackServerContext* context,
                                                    const v1::WatchDemandRequest* request) override;

  /// Open streams end with UNAVAILABLE; so do those that come. Idempotent.
  void EndStreams();

 private:
  static v1::DemandReport ReportOf(const DemandBoard& board, const std::vector<Demand>& own);

  const std::vector<DemandBoard*> boards_;
  rpc::StateStreams<v1::DemandReport> streams_;           // their key: the place of the board
  std::vector<DemandBoard::Subscription> subscriptions_;  // Last: they use the rest.
};

}  // namespace orchard::router
