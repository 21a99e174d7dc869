#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <future>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>
#include <prometheus/registry.h>

#include "experts/expert.h"
#include "experts/expert_service.h"
#include "experts/remote_expert.h"
#include "orchard/v1/expert.grpc.pb.h"
#include "server/grpc_host.h"
#include "tests/testing/expert_samples.h"
#include "tests/testing/silent_port.h"
#include "tests/testing/status_matchers.h"

namespace orchard::experts {

/// A real expert service on loopback, around a function of the test.
class ExpertServer {
 public:
  struct Options {
    ExpertSpec spec = testing::SampleSpec();
    Scorer scorer = testing::SampleScores;
    ExpertServiceOptions service{};
    server::Address listen{"127.0.0.1", 0};
    std::string model = "default";
    std::shared_ptr<grpc::ServerCredentials> credentials = nullptr;  ///< null: in the clear
  };

  ExpertServer() : ExpertServer(Options()) {}
  explicit ExpertServer(Options options)
      : service_({{options.spec, options.scorer}}, options.model, "1", registry_, options.service) {
    auto host =
        server::GrpcHost::Start(options.listen, {{v1::Expert::service_full_name(), &service_}}, {},
                                {}, options.credentials);
    if (!host.ok()) throw std::runtime_error(host.status().ToString());
    host_ = *std::move(host);
    host_->SetServing(true);
  }

  server::Address address() const { return host_->address(); }
  server::GrpcHost& host() { return *host_; }
  ExpertService& service() { return service_; }
  prometheus::Registry& registry() { return registry_; }

  /// Away at once, without a word to those who have health watched.
  void Stop() { host_->Shutdown(std::chrono::steady_clock::now()); }

  std::unique_ptr<v1::Expert::Stub> Stub() const {
    return v1::Expert::NewStub(
        grpc::CreateChannel(address().ToString(), grpc::InsecureChannelCredentials()));
  }

 private:
  prometheus::Registry registry_;
  ExpertService service_;
  std::unique_ptr<server::GrpcHost> host_;  // Last: its calls use the service.
};

/// A sample of a metric: 0 when there is none with these labels.
inline double MetricValue(prometheus::Registry& registry, const std::string& name,
                          const std::map<std::string, std::string>& labels = {}) {
  for (const prometheus::MetricFamily& family : registry.Collect()) {
    if (family.name != name) continue;
    for (const prometheus::ClientMetric& metric : family.metric) {
      std::map<std::string, std::string> found;
      for (const auto& label : metric.label) found[label.name] = label.value;
      if (found != labels) continue;
      return metric.counter.value + metric.gauge.value +
             static_cast<double>(metric.histogram.sample_count);
    }
  }
  return 0.0;
}

/// A call's answer, when it comes; a second one fails the test. `within`: until its deadline.
inline std::future<absl::StatusOr<model::ScoreBatch>> Ask(
    Expert& expert, SubBatch batch, std::chrono::milliseconds within = std::chrono::seconds(20),
    std::string request_id = "7f3a") {
  struct Waiting {
    std::atomic<bool> answered = false;
    std::promise<absl::StatusOr<model::ScoreBatch>> promise;
  };
  auto waiting = std::make_shared<Waiting>();
  auto future = waiting->promise.get_future();
  expert.Score(std::move(batch),
               {.deadline = core::Clock::now() + within, .callers = {{std::move(request_id), ""}}},
               [waiting](Scored scored) {
                 EXPECT_FALSE(waiting->answered.exchange(true)) << "answered twice";
                 waiting->promise.set_value(std::move(scored.scores));
               });
  return future;
}

/// What AskFully() says of an attempt that is still out.
inline constexpr absl::StatusCode kStillOut = absl::StatusCode::kCancelled;

/// How a call ended, and what was tried for it.
struct FullyScored : Scored {
  std::vector<AttemptRecord> attempts;
};

/// The whole end of a call, when it comes.
inline std::future<FullyScored> AskFully(Expert& expert, SubBatch batch, CallContext context) {
  auto promise = std::make_shared<std::promise<FullyScored>>();
  auto future = promise->get_future();
  const auto log = std::make_shared<AttemptLog>();
  context.attempts = log;
  expert.Score(std::move(batch), std::move(context), [promise, log](Scored scored) {
    promise->set_value({std::move(scored), log->Snapshot(core::Clock::now(), kStillOut)});
  });
  return future;
}

inline SubBatch OneRow(unsigned seed = 0) {
  return testing::WholeBatch(testing::SampleFeatures(1, seed));
}

inline CallContext Within(core::Clock::duration time) {
  return {.deadline = core::Clock::now() + time};
}

/// Rows that a server of a sample expert has scored.
inline double RowsOf(ExpertServer& server) {
  return MetricValue(server.registry(), "orchard_expert_server_rows_total",
                     {{"model", "default"}, {"domain", "apple"}});
}

/// The options of a client that does not keep a test waiting.
inline RemoteExpertOptions Quick(RemoteExpertOptions options = {}) {
  options.initial_backoff = std::chrono::milliseconds(50);
  options.max_backoff = std::chrono::milliseconds(500);
  options.tend_interval = std::chrono::milliseconds(5);
  options.probe_interval = std::chrono::milliseconds(20);
  return options;
}

/// The sample expert at `targets`.
inline std::unique_ptr<RemoteExpert> Remote(const std::vector<std::string>& targets,
                                            RemoteExpertOptions options = {}) {
  auto expert = RemoteExpert::Create(testing::SampleSpec(), targets, Quick(std::move(options)));
  EXPECT_THAT(expert, testing::IsOk());
  return *std::move(expert);
}

using testing::SilentPort;

inline server::Address AddressOf(const SilentPort& silent) { return {"127.0.0.1", silent.port()}; }

}  // namespace orchard::experts
