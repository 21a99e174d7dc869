// An expert that is well by all it says of itself, and never scores: routers take it for healthy
// and go on asking. Prints a ready line; runs until SIGTERM or SIGINT. Usage: bench_hung_expert
// --of HOST:PORT, the address of the expert whose description it gives as its own.

#include <chrono>
#include <csignal>
#include <iostream>
#include <string>

#include "absl/status/status.h"
#include <CLI/CLI.hpp>
#include <grpcpp/grpcpp.h>

#include "bench/serving/pictures.h"
#include "orchard/v1/expert.grpc.pb.h"
#include "rpc/status.h"
#include "server/grpc_host.h"
#include "server/ready_line.h"

namespace {

namespace v1 = orchard::v1;

constexpr char kProgram[] = "bench_hung_expert";

class HungExpert final : public v1::Expert::CallbackService {
 public:
  explicit HungExpert(v1::ExpertDescription description) : description_(std::move(description)) {}

  grpc::ServerUnaryReactor* Score(grpc::CallbackServerContext*, const v1::ScoreRequest*,
                                  v1::ScoreResponse*) override {
    struct Silence final : grpc::ServerUnaryReactor {
      void OnCancel() override { Finish(grpc::Status::CANCELLED); }
      void OnDone() override { delete this; }
    };
    return new Silence;
  }

  grpc::ServerUnaryReactor* Describe(grpc::CallbackServerContext* context,
                                     const v1::DescribeRequest*,
                                     v1::ExpertDescription* response) override {
    *response = description_;
    grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

 private:
  const v1::ExpertDescription description_;
};

absl::StatusOr<v1::ExpertDescription> Ask(const std::string& address) {
  const auto stub =
      v1::Expert::NewStub(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
  v1::ExpertDescription description;
  const grpc::Status status = stub->Describe(&context, {}, &description);
  if (!status.ok()) return orchard::rpc::FromGrpc(status);
  return description;
}

absl::Status Serve(const std::string& of, const sigset_t& ends) {
  absl::StatusOr<v1::ExpertDescription> description = Ask(of);
  if (!description.ok()) return description.status();
  std::vector<std::string> domains;
  for (const v1::ExpertDomain& domain : description->domains()) domains.push_back(domain.domain());
  HungExpert service(*std::move(description));
  const auto host = orchard::server::GrpcHost::Start(
      {"127.0.0.1", 0}, {{v1::Expert::service_full_name(), &service}}, {}, domains);
  if (!host.ok()) return host.status();
  (*host)->SetServing(true);
  orchard::server::PrintReadyLine(kProgram, {.grpc = (*host)->address()});
  int signal = 0;
  sigwait(&ends, &signal);
  return absl::OkStatus();
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Is asked, and never answers");
  std::string of;
  app.add_option("--of", of)->required();
  if (const auto code = orchard::bench::ParseMain(app, argc, argv)) return *code;
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);  // Of all threads to come: sigwait takes them.
  return orchard::bench::ExitCode(kProgram, Serve(of, ends));
}
