#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "orchard/v1/classifier.grpc.pb.h"
#include "tests/e2e/classify.h"
#include "tests/e2e/fleet_processes.h"
#include "tests/testing/child_process.h"
#include "tests/testing/eventually.h"
#include "tests/testing/http_get.h"
#include "tests/testing/metrics_page.h"
#include "tests/testing/pictures.h"
#include "tests/testing/service_command.h"
#include "tests/testing/tiny_model_folder.h"

namespace orchard::testing {

/// A router as a process, and what is asked of it.
class RunningFleet : public ::testing::Test {
 protected:
  /// An expert for `domains`, on a port of the system's choice or on a given one.
  std::unique_ptr<ChildProcess> SpawnExpert(const std::vector<std::string>& domains, int& port) {
    return testing::SpawnExpert(model_.path(), domains, port);
  }

  void SpawnRouter(const std::vector<std::string>& more) {
    router_ = std::make_unique<ChildProcess>(ServiceCommand("orchard-router", model_.path(), more));
    ready_ = router_->ReadOutUntil("orchard-router ready");
    ASSERT_NE(PortIn(ready_, "grpc"), 0) << ready_;
    stub_ = StubOf(ready_);
  }

  absl::StatusOr<v1::ClassifyResponse> Classify(
      const v1::ClassifyOptions& options = With(v1::DENSE),
      std::chrono::seconds deadline = std::chrono::seconds(60)) {
    return testing::Classify(*stub_, picture_, options, deadline);
  }

  bool Whole() {
    const auto answer = Classify();
    return answer.ok() && !answer->degraded();
  }

  std::string Metrics() const { return HttpGet(PortIn(ready_, "metrics"), "/metrics"); }

  /// Of the router's page: the sum of all samples that have these labels.
  double Metric(const std::string& name, const Labels& labels = {}) const {
    return SumOf(Metrics(), name, labels);
  }
  /// Pictures that went without `domain` for that reason.
  double Missing(const std::string& domain, const std::string& reason) const {
    return Metric("orchard_missing_total", {{"domain", domain}, {"reason", reason}});
  }

  static std::string EndpointsLine(const std::string& domain, const std::string& state, int count) {
    return "orchard_expert_endpoints{domain=\"" + domain + "\",model=\"tiny\",state=\"" + state +
           "\"} " + std::to_string(count) + "\n";
  }
  bool EventuallyEndpoints(const std::string& domain, const std::string& state, int count) const {
    const std::string line = EndpointsLine(domain, state, count);
    return Eventually([&] { return Metrics().find(line) != std::string::npos; });
  }

  v1::ModelDescription Describe() {
    v1::DescribeModelRequest request;
    request.set_endpoints(true);
    grpc::ClientContext context;
    v1::ModelDescription description;
    EXPECT_TRUE(stub_->DescribeModel(&context, request, &description).ok());
    return description;
  }

  const TinyModelFolder& model_ = SharedTinyModel();
  const std::vector<std::string> domains_ = model_.domains();
  const std::string picture_ = EncodeJpeg(DrawLeaf(300, 280, 3));
  std::unique_ptr<ChildProcess> router_;
  std::string ready_;
  std::unique_ptr<v1::Classifier::Stub> stub_;
};

}  // namespace orchard::testing
