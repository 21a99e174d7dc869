// Writes every architecture, and the parts of models, as ONNX beside what LibTorch answers, for
// tests/unit/training/onnx/onnx_runtime_test.py. Usage: write_onnx_cases DIR ROWS [MODEL…]:
// NAME.onnx and NAME.safetensors (the input, and each output under its name) for ROWS drawn
// pictures.

#include <filesystem>
#include <iostream>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

#include "core/status.h"
#include "core/text.h"
#include "model/manifest.h"
#include "model/safetensors.h"
#include "model/store.h"
#include "model/torch_state.h"
#include "tests/unit/training/onnx/onnx_cases.h"
#include "training/onnx/part_facts.h"
#include "training/onnx/translate.h"

namespace orchard::training {
namespace {

namespace fs = std::filesystem;
using Facts = std::map<std::string, std::string>;

/// What StateOf knows how to store: tensors by name.
struct Record final : torch::nn::Module {
  void Add(const std::string& name, const torch::Tensor& tensor) {
    register_buffer(name, tensor.to(torch::kFloat32));
  }
};

absl::Status Write(const model::PartNetwork& part, const torch::Tensor& input, const Facts& facts,
                   const std::string& name, const fs::path& folder) {
  ORCHARD_ASSIGN_OR_RETURN(const onnx::ModelProto onnx, TranslateToOnnx(part, facts));
  ORCHARD_RETURN_IF_ERROR(core::WriteFile(folder / (name + ".onnx"), onnx.SerializeAsString()));
  Record record;
  record.Add(part.input, input);
  const std::vector<torch::Tensor> outputs = Answers(part, input);
  for (size_t i = 0; i < outputs.size(); ++i) record.Add(part.outputs[i], outputs[i]);
  return core::WriteFile(
      folder / (name + ".safetensors"),
      model::SerialiseSafetensors(model::StateOf(record, "", model::Precision::kFull)));
}

/// The parts of a model, the later ones on what its encoder gives.
absl::Status WriteModel(const fs::path& path, int64_t rows, const fs::path& folder) {
  ORCHARD_ASSIGN_OR_RETURN(const fs::path version, model::ResolveVersion(path));
  ORCHARD_ASSIGN_OR_RETURN(const orchard::v1::ModelManifest manifest, model::ReadManifest(version));
  ORCHARD_ASSIGN_OR_RETURN(const auto parts, model::ReadPartNetworks(version, manifest));
  std::map<std::string, torch::Tensor> features;
  for (const model::PartNetwork& part : parts) {
    if (part.name == "encoder") {
      const auto answers = Answers(part, OnnxCaseInput(part, rows));
      for (size_t i = 0; i < answers.size(); ++i) features[part.outputs[i]] = answers[i];
    }
    const torch::Tensor input =
        part.input == "pixels" ? OnnxCaseInput(part, rows) : features.at(part.input);
    const std::string name =
        absl::StrReplaceAll(absl::StrCat("model_", manifest.name(), "_", part.name), {{"/", "_"}});
    ORCHARD_RETURN_IF_ERROR(Write(part, input, FactsOf(manifest, part), name, folder));
  }
  return absl::OkStatus();
}

absl::Status WriteAll(int argc, char** argv) {
  int64_t rows = 0;
  if (argc < 3 || !absl::SimpleAtoi(argv[2], &rows) || rows < 1) {
    return absl::InvalidArgumentError("usage: write_onnx_cases DIR ROWS [MODEL…]");
  }
  const fs::path folder = argv[1];
  for (const std::string& name : OnnxCaseNames()) {
    const model::PartNetwork part = MakeOnnxCase(name);
    ORCHARD_RETURN_IF_ERROR(Write(part, OnnxCaseInput(part, rows), {}, name, folder));
  }
  for (int i = 3; i < argc; ++i) ORCHARD_RETURN_IF_ERROR(WriteModel(argv[i], rows, folder));
  return absl::OkStatus();
}

}  // namespace
}  // namespace orchard::training

int main(int argc, char** argv) {
  const absl::Status status = orchard::training::WriteAll(argc, argv);
  if (status.ok()) return 0;
  std::cerr << status << '\n';
  return 1;
}
