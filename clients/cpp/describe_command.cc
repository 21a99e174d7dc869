#include "clients/cpp/describe_command.h"

#include <CLI/CLI.hpp>

#include "clients/cpp/render.h"

namespace orchard::client {

void DeclareDescribe(CLI::App& app, DescribeCommand& command) {
  DeclareServer(app, command.server);
  app.add_flag("--json", command.json, "as one JSON object");
}

int RunDescribe(const DescribeCommand& command, const Streams& streams) {
  Client client(command.server.ClientOptions());
  const auto model = client.DescribeModel();
  if (!model.ok()) {
    streams.err << "orchard: " << Reason(model.status()) << '\n';
    return kSomeFailed;
  }
  const absl::Status written = WriteAnswer(
      streams.out, command.json ? DescriptionJson(*model) + "\n" : DescriptionText(*model));
  if (written.ok()) return kAllDone;
  streams.err << "orchard: " << written.message() << '\n';
  return kSomeFailed;
}

}  // namespace orchard::client
