#include "training/commands/onnx.h"

#include <cstdio>

#include "core/status.h"

namespace orchard::training {

void DeclareGraph(CLI::App& app, GraphOptions& options) {
  CLI::App* graph =
      app.add_subcommand("graph", "Layers of a network: shapes, parameters, multiply-adds");
  graph->add_option("what", options.what, "a model, a file *.onnx, or a recipe *.textproto")
      ->required();
  graph->add_option("--classes", options.classes, "of a recipe's folders of pictures")
      ->check(CLI::Range(2, 65536))
      ->capture_default_str();
  graph->add_flag("--all", options.all, "also the steps without weights");
}

absl::Status RunGraph(const GraphOptions& options) {
  ORCHARD_ASSIGN_OR_RETURN(const std::string text, GraphText(options));
  std::fputs(text.c_str(), stdout);
  return absl::OkStatus();
}

absl::Status RunOnnxExport(const std::filesystem::path& model, const std::filesystem::path& out,
                           bool overwrite) {
  ORCHARD_ASSIGN_OR_RETURN(const std::string text, ExportOnnx(model, out, overwrite));
  std::fputs(text.c_str(), stdout);
  return absl::OkStatus();
}

}  // namespace orchard::training
