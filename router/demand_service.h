#pragma once

#include <cstddef>

#include "orchard/v1/demand.grpc.pb.h"
#include "router/demand_board.h"
#include "rpc/state_streams.h"

namespace orchard::router {

/// v1::Demand over a board: tells other routers what this one needs. Thread-safe; the board
/// outlives it.
class DemandService final : public v1::Demand::CallbackService {
 public:
  /// `max_streams`: routers that watch at a time.
  explicit DemandService(DemandBoard& board, size_t max_streams = 4096);
  ~DemandService() override;

  grpc::ServerWriteReactor<v1::DemandReport>* Watch(grpc::CallbackServerContext* context,
                                                    const v1::WatchDemandRequest* request) override;

  /// Open streams end with UNAVAILABLE; so do those that come. Idempotent.
  void EndStreams();

 private:
  v1::DemandReport ReportOf(const std::vector<Demand>& own) const;

  DemandBoard& board_;
  rpc::StateStreams<v1::DemandReport> streams_;
  const DemandBoard::Subscription subscription_;  // Last: it uses the rest.
};

}  // namespace orchard::router
