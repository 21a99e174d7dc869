#include "server/probe.h"

#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include <grpc/support/log.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/support/channel_arguments.h>

#include "core/status.h"
#include "rpc/status.h"
#include "rpc/tls.h"
#include "server/service_process.h"

namespace orchard::server {
namespace {

namespace health = ::grpc::health::v1;

/// What ProbeMain() reads.
const std::vector<std::string>& ProbeNames() {
  static const std::vector<std::string> names = {"probe",          "probe-service", "probe-timeout",
                                                 "probe-tls-name", "tls-cert",      "tls-key",
                                                 "tls-client-ca"};
  return names;
}

bool IsWanted(int argc, const char* const* argv) {
  bool wanted = false;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--help" || argument == "-h" || argument == "--version") return false;
    wanted = wanted || argument == "--probe" || argument.starts_with("--probe=");
  }
  return wanted;
}

absl::StatusOr<rpc::TlsFiles> FilesFor(const ProbeSettings& probe, const TlsSettings& tls) {
  if (tls.cert.empty()) return rpc::TlsFiles{};
  rpc::TlsFiles files{.ca = tls.client_ca.empty() ? tls.cert : tls.client_ca,
                      .cert = tls.cert,
                      .key = tls.key,
                      .name = probe.tls_name};
  if (files.name.empty()) {
    ORCHARD_ASSIGN_OR_RETURN(files.name, rpc::FirstNameOf(tls.cert));
  }
  return files;
}

absl::Status Failure(const ProbeSettings& probe, const absl::Status& why) {
  const std::string address = probe.address->ToString();
  if (absl::IsDeadlineExceeded(why)) {
    return absl::DeadlineExceededError(
        absl::StrCat(address, " gave no answer within ", probe.timeout.count(), " ms"));
  }
  if (absl::IsNotFound(why)) {
    return absl::NotFoundError(
        absl::StrCat(address, " has no service \"", probe.service, "\" to tell the health of"));
  }
  return absl::UnavailableError(
      absl::StrCat(address, " can't be asked for its health: ", why.message()));
}

}  // namespace

void DeclareProbe(Settings& settings, ProbeSettings& probe) {
  using std::chrono::milliseconds;
  settings.Section("Probe");
  settings
      .Add("probe", probe.address,
           "Do not serve, but ask the gRPC port there for its health, and exit: 0 when it serves, "
           "else 1. With --tls-cert, --tls-key and --tls-client-ca, if they are given; no other "
           "setting matters.")
      .Must([](const Address& address) {
        if (address.port != 0) return absl::OkStatus();
        return absl::InvalidArgumentError("names port 0, where nobody listens");
      })
      .FlagOnly();
  settings
      .Add("probe-service", probe.service,
           "The service of that process, or the domain of an expert, whose health is asked for.")
      .Placeholder("NAME")
      .DefaultText("the process as a whole");
  settings.Add("probe-timeout", probe.timeout, "How long to wait for its answer.")
      .Range(milliseconds(1), milliseconds(600'000));
  settings.Add("probe-tls-name", probe.tls_name, "The name that its certificate must have.")
      .Placeholder("NAME")
      .DefaultText("the first subject alternative name of --tls-cert");
}

absl::Status Probe(const ProbeSettings& probe, const TlsSettings& tls) {
  ORCHARD_ASSIGN_OR_RETURN(rpc::TlsFiles files, FilesFor(probe, tls));
  ORCHARD_ASSIGN_OR_RETURN(const std::shared_ptr<grpc::ChannelCredentials> credentials,
                           rpc::ChannelCredentialsFrom(std::move(files)));
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);  // Nothing but settings reads the environment.
  const auto stub = health::Health::NewStub(
      grpc::CreateCustomChannel(probe.address->ToString(), credentials, arguments));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + probe.timeout);
  health::HealthCheckRequest request;
  request.set_service(probe.service);
  health::HealthCheckResponse response;
  const absl::Status asked = rpc::FromGrpc(stub->Check(&context, request, &response));
  if (!asked.ok()) return Failure(probe, asked);
  if (response.status() == health::HealthCheckResponse::SERVING) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat(probe.address->ToString(), " says ",
                   health::HealthCheckResponse::ServingStatus_Name(response.status())));
}

std::optional<int> ProbeMain(const std::string& program, Settings& settings,
                             const ProbeSettings& probe, const TlsSettings& tls, int argc,
                             const char* const* argv) {
  if (!IsWanted(argc, argv)) return std::nullopt;
  if (const auto code = settings.ParseMainOnly(ProbeNames(), argc, argv)) return code;
  gpr_set_log_function([](gpr_log_func_args*) {});  // One sentence is all that we say: our own.
  const absl::Status status = Probe(probe, tls);
  return status.ok() ? 0 : Refuse(program, status);
}

}  // namespace orchard::server
