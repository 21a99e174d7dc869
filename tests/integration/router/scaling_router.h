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
  struct Model {
    std::string name;
    std::vector<std::string> domains;
  };
  struct Options {
    std::string model = "tiny";
    std::vector<std::string> domains = {"apple", "rice"};
    std::vector<Model> more_models = {};
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
  explicit ScalingRouter(const Options& options) {
    AddModel({options.model, options.domains}, options);
    for (const Model& model : options.more_models) AddModel(model, options);
    std::vector<ExternalScaler::Model> scaled;
    std::vector<DemandBoard*> boards;
    for (size_t model = 0; model < boards_.size(); ++model) {
      scaled.push_back({.board = boards_[model].get(), .peers = peers_[model].get()});
      boards.push_back(boards_[model].get());
    }
    scaler_ = std::make_unique<ExternalScaler>(std::move(scaled), options.scaler);
    demand_ = std::make_unique<DemandService>(std::move(boards), /*max_streams=*/2);
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
  DemandBoard& board() { return *boards_.front(); }
  PeerWatch& peers() { return *peers_.front(); }

  /// So many pictures want a domain's expert now.
  void Want(size_t domain, int pictures = 1, size_t model = 0) {
    for (int i = 0; i < pictures; ++i) boards_[model]->meter().Wanted(domain, core::Clock::now());
  }

  /// Waits until so many peers are in that state.
  bool PeersBecome(PeerState state, size_t count) {
    return orchard::testing::Eventually(
        [&] { return peers().Counts()[static_cast<size_t>(state)] == count; });
  }

  /// As the process ends: streams end, and calls that come are refused.
  void Shutdown() { host_->Shutdown(std::chrono::steady_clock::now() + std::chrono::minutes(1)); }

 private:
  void AddModel(const Model& model, const Options& options) {
    boards_.push_back(std::make_unique<DemandBoard>(
        model.name, model.domains,
        DemandBoard::Options{
            .meter = options.meter,
            .period = std::chrono::milliseconds(50),
            .peer_patience = options.patience,
            .scalable = options.scalable,
            .service_seconds = [known = options.service_seconds](size_t) { return known; }}));
    peers_.emplace_back();
    if (options.peers.empty()) return;
    peers_.back() = std::make_unique<PeerWatch>(
        *boards_.back(), PeerWatch::Options{.targets = *experts::ParseTargets(options.peers),
                                            .credentials = options.to_peers,
                                            .dns_interval = std::chrono::milliseconds(100),
                                            .look_up = options.look_up,
                                            .keep = options.keep});
  }

  std::vector<std::unique_ptr<DemandBoard>> boards_;  // by model, as the next
  std::vector<std::unique_ptr<PeerWatch>> peers_;     // null: it has none
  std::unique_ptr<ExternalScaler> scaler_;
  std::unique_ptr<DemandService> demand_;
  std::unique_ptr<server::GrpcHost> host_;  // Last: its calls use the rest.
};

}  // namespace orchard::router::testing
