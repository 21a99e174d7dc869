#include "router/demand_service.h"

#include <optional>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"

#include "core/clock.h"
#include "router/errors.h"
#include "rpc/status.h"

namespace orchard::router {

DemandService::DemandService(DemandBoard& board, size_t max_streams)
    : board_(board),
      streams_(max_streams),
      subscription_(board.Subscribe([this](const DemandBoard::News& news) {
        if (streams_.size() == 0) return;
        const v1::DemandReport report = ReportOf(news.own);
        streams_.Tell([&](size_t, const auto&) { return std::optional(report); });
      })) {}

DemandService::~DemandService() { board_.Unsubscribe(subscription_); }

grpc::ServerWriteReactor<v1::DemandReport>* DemandService::Watch(
    grpc::CallbackServerContext* /*context*/, const v1::WatchDemandRequest* /*request*/) {
  auto* const stream = streams_.Open(/*key=*/0, core::Clock::now());
  if (stream == nullptr) {
    return new rpc::RefusedStream<v1::DemandReport>(rpc::ToGrpc(absl::ResourceExhaustedError(
        absl::StrFormat("%d routers watch already, which is the limit", streams_.limit()))));
  }
  board_.Wake();  // Its first report comes from there, as all others do.
  return stream;
}

void DemandService::EndStreams() { streams_.End(rpc::ToGrpc(DrainingError())); }

v1::DemandReport DemandService::ReportOf(const std::vector<Demand>& own) const {
  v1::DemandReport report;
  report.set_instance(board_.instance());
  report.set_model(board_.model());
  for (size_t domain = 0; domain < own.size(); ++domain) {
    v1::DomainDemand& demand = *report.add_domains();
    demand.set_domain(board_.domains()[domain]);
    demand.set_desired_replicas(own[domain].desired_replicas);
    demand.set_rows_per_second(own[domain].rows_per_second);
    demand.set_active(own[domain].active);
    demand.set_service_seconds(own[domain].service_seconds.value_or(0.0));
  }
  return report;
}

}  // namespace orchard::router
