#include "clients/cpp/describe_command.h"

#include <CLI/CLI.hpp>

#include "clients/cpp/render.h"

namespace orchard::client {
namespace {

int Write(const std::string& text, const Streams& streams) {
  const absl::Status written = WriteAnswer(streams.out, text);
  if (written.ok()) return kAllDone;
  WriteFault(streams.err, std::string(written.message()));
  return kSomeFailed;
}

}  // namespace

void DeclareDescribe(CLI::App& app, DescribeCommand& command) {
  DeclareServer(app, command.server);
  DeclareModel(app, command.model);
  app.add_flag("--endpoints", command.endpoints,
               "with the addresses of the experts, and how each of them is");
  app.add_flag("--json", command.json, "as one JSON object");
}

int RunDescribe(const DescribeCommand& command, const Streams& streams) {
  Client client(command.server);
  v1::DescribeModelRequest request;
  request.set_endpoints(command.endpoints);
  request.set_model(command.model);
  const auto model = client.DescribeModel(request);
  if (!model.ok()) {
    WriteFault(streams.err, Reason(model.status()));
    return kSomeFailed;
  }
  std::string text = command.json ? DescriptionJson(*model) + "\n" : DescriptionText(*model);
  if (command.endpoints && !command.json) text += "\n" + EndpointsText(*model);
  return Write(text, streams);
}

void DeclareList(CLI::App& app, ListCommand& command) {
  DeclareServer(app, command.server);
  app.add_flag("--json", command.json, "as one JSON object");
}

int RunList(const ListCommand& command, const Streams& streams) {
  Client client(command.server);
  const auto model = client.DescribeModel();
  if (!model.ok()) {
    WriteFault(streams.err, Reason(model.status()));
    return kSomeFailed;
  }
  return Write(command.json ? ModelsJson(*model) + "\n" : ModelsText(*model), streams);
}

}  // namespace orchard::client
