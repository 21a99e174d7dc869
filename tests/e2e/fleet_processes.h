#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <grpcpp/grpcpp.h>

#include "orchard/v1/classifier.grpc.pb.h"
#include "tests/testing/child_process.h"
#include "tests/testing/service_command.h"

/// \file
/// What tests of routers and experts as processes share.

namespace orchard::testing {

/// An expert for `domains`. `port`: 0 takes a free one, and is it from then on.
inline std::unique_ptr<ChildProcess> SpawnExpert(const std::filesystem::path& model,
                                                 const std::vector<std::string>& domains,
                                                 int& port) {
  std::vector<std::string> flags;
  for (const std::string& domain : domains) flags.insert(flags.end(), {"--domain", domain});
  auto expert = std::make_unique<ChildProcess>(
      ServiceCommand("orchard-expert", model, flags, "127.0.0.1:" + std::to_string(port)));
  port = PortIn(expert->ReadOutUntil("ready"), "grpc");
  return expert;
}

/// Of the router that said `ready`.
inline std::unique_ptr<v1::Classifier::Stub> StubOf(const std::string& ready) {
  return v1::Classifier::NewStub(grpc::CreateChannel(
      "127.0.0.1:" + std::to_string(PortIn(ready, "grpc")), grpc::InsecureChannelCredentials()));
}

}  // namespace orchard::testing
