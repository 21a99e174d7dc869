#pragma once

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "core/clock.h"
#include "experts/target.h"
#include "externalscaler/externalscaler.grpc.pb.h"
#include "orchard/v1/demand.grpc.pb.h"
#include "router/demand_board.h"
#include "router/demand_service.h"
#include "router/external_scaler.h"
#include "router/peer_watch.h"
#include "rpc/status.h"
#include "server/grpc_host.h"
#include "tests/testing/eventually.h"

/// \file
/// What scales experts, on loopback within the test's process: a router without its pictures.

namespace orchard::router::testing {

inline externalscaler::ScaledObjectRef About(std::map<std::string, std::string> metadata) {
  externalscaler::ScaledObjectRef ref;
  ref.set_name("expert-apple");
  ref.set_namespace_("farm");
  metadata.emplace("scalerAddress", "router.farm:8001");  // As KEDA says it, too.
  for (const auto& [key, value] : metadata) (*ref.mutable_scalermetadata())[key] = value;
  return ref;
}
inline externalscaler::ScaledObjectRef About(const std::string& domain) {
  return About(std::map<std::string, std::string>{{"domain", domain}});
}

/// KEDA, as far as it asks.
class ScalerClient {
 public:
  explicit ScalerClient(const std::string& address,
                        const std::shared_ptr<grpc::ChannelCredentials>& credentials =
                            grpc::InsecureChannelCredentials())
      : stub_(externalscaler::ExternalScaler::NewStub(grpc::CreateChannel(address, credentials))) {}

  absl::StatusOr<bool> IsActive(const externalscaler::ScaledObjectRef& ref) {
    externalscaler::IsActiveResponse response;
    grpc::ClientContext context;
    const grpc::Status status = stub_->IsActive(&context, ref, &response);
    if (!status.ok()) return rpc::FromGrpc(status);
    return response.result();
  }

  absl::StatusOr<externalscaler::GetMetricSpecResponse> GetMetricSpec(
      const externalscaler::ScaledObjectRef& ref) {
    externalscaler::GetMetricSpecResponse response;
    grpc::ClientContext context;
    const grpc::Status status = stub_->GetMetricSpec(&context, ref, &response);
    if (!status.ok()) return rpc::FromGrpc(status);
    return response;
  }

  absl::StatusOr<externalscaler::MetricValue> GetMetric(
      const externalscaler::ScaledObjectRef& ref,
      const std::string& metric = ExternalScaler::kMetric) {
    externalscaler::GetMetricsRequest request;
    *request.mutable_scaledobjectref() = ref;
    request.set_metricname(metric);
    externalscaler::GetMetricsResponse response;
    grpc::ClientContext context;
    const grpc::Status status = stub_->GetMetrics(&context, request, &response);
    if (!status.ok()) return rpc::FromGrpc(status);
    EXPECT_EQ(response.metricvalues_size(), 1);
    return response.metricvalues(0);
  }

  /// Of what is desired; -1 after an error.
  double Desired(const std::string& domain) {
    const auto value = GetMetric(About(domain));
    EXPECT_TRUE(value.ok()) << value.status();
    return value.ok() ? value->metricvaluefloat() : -1.0;
  }

  externalscaler::ExternalScaler::Stub& stub() { return *stub_; }

 private:
  const std::unique_ptr<externalscaler::ExternalScaler::Stub> stub_;
};

/// One StreamIsActive.
class ActiveStream {
 public:
  ActiveStream(ScalerClient& client, const externalscaler::ScaledObjectRef& ref)
      : reader_(client.stub().StreamIsActive(&context_, ref)) {}
  ~ActiveStream() {
    context_.TryCancel();
    while (Next()) {
    }
    if (!ended_) reader_->Finish().IgnoreError();
  }
  ActiveStream(const ActiveStream&) = delete;
  ActiveStream& operator=(const ActiveStream&) = delete;

  /// The next word; nothing at the end.
  std::optional<bool> Next() {
    externalscaler::IsActiveResponse response;
    if (!reader_->Read(&response)) return std::nullopt;
    return response.result();
  }
  /// How it ended, after Next() gave nothing.
  absl::Status End() {
    ended_ = true;
    return rpc::FromGrpc(reader_->Finish());
  }

 private:
  grpc::ClientContext context_;
  const std::unique_ptr<grpc::ClientReader<externalscaler::IsActiveResponse>> reader_;
  bool ended_ = false;
};

class ScalingRouter {
 public:
  struct Options {
    std::string model = "tiny";
    std::vector<std::string> domains = {"apple", "rice"};
    DemandMeter::Options meter{};
    bool scalable = true;
    std::optional<double> service_seconds = 0.007;
    std::string peers = {};  ///< as --router-peers; empty: none
    experts::Resolver::LookUp look_up = experts::LookUpHost;
    core::Clock::duration keep = std::chrono::minutes(1);      ///< PeerWatch::Options
    core::Clock::duration patience = std::chrono::seconds(5);  ///< with silent peers
    std::shared_ptr<grpc::ChannelCredentials> to_peers = nullptr;
    ExternalScaler::Options scaler{};
    server::Address listen{"127.0.0.1", 0};
    std::shared_ptr<grpc::ServerCredentials> credentials = nullptr;
  };

  ScalingRouter() : ScalingRouter(Options()) {}
  explicit ScalingRouter(Options options)
      : board_(options.model, options.domains,
               {.meter = options.meter,
                .period = std::chrono::milliseconds(50),
                .peer_patience = options.patience,
                .scalable = options.scalable,
                .service_seconds = [known = options.service_seconds](size_t) { return known; }}) {
    if (!options.peers.empty()) {
      peers_ = std::make_unique<PeerWatch>(
          board_, PeerWatch::Options{.targets = *experts::ParseTargets(options.peers),
                                     .credentials = options.to_peers,
                                     .dns_interval = std::chrono::milliseconds(100),
                                     .look_up = options.look_up,
                                     .keep = options.keep});
    }
    scaler_ = std::make_unique<ExternalScaler>(board_, peers_.get(), options.scaler);
    demand_ = std::make_unique<DemandService>(board_, /*max_streams=*/2);
    host_ = *server::GrpcHost::Start(
        options.listen,
        {{externalscaler::ExternalScaler::service_full_name(), scaler_.get(),
          [this] { scaler_->EndStreams(); }},
         {v1::Demand::service_full_name(), demand_.get(), [this] { demand_->EndStreams(); }}},
        {}, {}, options.credentials);
    host_->SetServing(true);
  }

  std::string address() const { return host_->address().ToString(); }
  int port() const { return host_->address().port; }
  ScalerClient Client() const { return ScalerClient(address()); }
  DemandBoard& board() { return board_; }
  PeerWatch& peers() { return *peers_; }

  /// So many pictures want a domain's expert now.
  void Want(size_t domain, int pictures = 1) {
    for (int i = 0; i < pictures; ++i) board_.meter().Wanted(domain, core::Clock::now());
  }

  /// Waits until so many peers are in that state.
  bool PeersBecome(PeerState state, size_t count) {
    return orchard::testing::Eventually(
        [&] { return peers_->Counts()[static_cast<size_t>(state)] == count; });
  }

  /// As the process ends: streams end, and calls that come are refused.
  void Shutdown() { host_->Shutdown(std::chrono::steady_clock::now() + std::chrono::minutes(1)); }

 private:
  DemandBoard board_;
  std::unique_ptr<PeerWatch> peers_;
  std::unique_ptr<ExternalScaler> scaler_;
  std::unique_ptr<DemandService> demand_;
  std::unique_ptr<server::GrpcHost> host_;  // Last: its calls use the rest.
};

}  // namespace orchard::router::testing
