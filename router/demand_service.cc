#include "router/demand_service.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"

#include "core/clock.h"
#include "router/errors.h"
#include "rpc/status.h"

namespace orchard::router {

DemandService::DemandService(std::vector<DemandBoard*> boards, size_t max_streams)
    : boards_(std::move(boards)), streams_(max_streams) {
  for (size_t place = 0; place < boards_.size(); ++place) {
    const DemandBoard& board = *boards_[place];
    subscriptions_.push_back(
        boards_[place]->Subscribe([this, &board, place](const DemandBoard::News& news) {
          if (streams_.size() == 0) return;
          const v1::DemandReport report = ReportOf(board, news.own);
          streams_.Tell([&](size_t key, const auto&) {
            return key == place ? std::optional(report) : std::nullopt;
          });
        }));
  }
}

DemandService::~DemandService() {
  for (size_t place = 0; place < boards_.size(); ++place) {
    boards_[place]->Unsubscribe(subscriptions_[place]);
  }
}

grpc::ServerWriteReactor<v1::DemandReport>* DemandService::Watch(
    grpc::CallbackServerContext* /*context*/, const v1::WatchDemandRequest* request) {
  const auto named = std::ranges::find(boards_, request->model(),
                                       [](const DemandBoard* board) { return board->model(); });
  const size_t place = named == boards_.end() ? 0 : static_cast<size_t>(named - boards_.begin());
  auto* const stream = streams_.Open(place, core::Clock::now());
  if (stream == nullptr) {
    return new rpc::RefusedStream<v1::DemandReport>(rpc::ToGrpc(absl::ResourceExhaustedError(
        absl::StrFormat("%d routers watch already, which is the limit", streams_.limit()))));
  }
  boards_[place]->Wake();  // Its first report comes from there, as all others do.
  return stream;
}

void DemandService::EndStreams() { streams_.End(rpc::ToGrpc(DrainingError())); }

v1::DemandReport DemandService::ReportOf(const DemandBoard& board, const std::vector<Demand>& own) {
  v1::DemandReport report;
  report.set_instance(board.instance());
  report.set_model(board.model());
  for (size_t domain = 0; domain < own.size(); ++domain) {
    v1::DomainDemand& demand = *report.add_domains();
    demand.set_domain(board.domains()[domain]);
    demand.set_desired_replicas(own[domain].desired_replicas);
    demand.set_rows_per_second(own[domain].rows_per_second);
    demand.set_active(own[domain].active);
    demand.set_service_seconds(own[domain].service_seconds.value_or(0.0));
  }
  return report;
}

}  // namespace orchard::router
