#include <algorithm>
#include <cstdio>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>
#include <system_error>
#include <vector>

#include "absl/strings/str_cat.h"
#include <CLI/CLI.hpp>

#include "core/blas_kernels.h"
#include "core/inherited.h"
#include "core/printable.h"
#include "core/status.h"
#include "core/text.h"
#include "core/version.h"
#include "model/blas.h"
#include "model/encoder.h"
#include "model/safetensors.h"
#include "model/torch_state.h"
#include "nets/guarded.h"
#include "server/allocator.h"
#include "training/commands/compare.h"
#include "training/commands/onnx.h"
#include "training/commands/report.h"
#include "training/commands/runs.h"
#include "training/data/picture_set.h"
#include "training/data/survey.h"
#include "training/import.h"
#include "training/log/mongo_store.h"
#include "training/loop/device.h"
#include "training/measure/evaluate.h"
#include "training/measure/record.h"
#include "training/measure/report.h"
#include "training/new_recipe.h"
#include "training/recipe.h"
#include "training/self_test.h"
#include "training/study.h"

namespace orchard::training {
namespace {

namespace fs = std::filesystem;

/// Everything that the command line may say; each subcommand uses some.
struct Settings {
  fs::path recipe, data, weights, work, start_from, out, model;
  std::vector<std::string> overrides, experts;
  size_t threads = 2;
  size_t batch = SelfTestOptions{}.batch;
  size_t steps = SelfTestOptions{}.steps;
  double correlation = 0.98;
  size_t stop_after = 0;
  double time_limit = 0.0;
  bool resume = false;
  bool verify = false;
  bool overwrite = false;
  bool skip_routers = false;
  bool skip_policies = false;
  bool json = false;
  bool record = false;
  std::string name = "default";
  std::string version = "1";
  std::string split = "validation";
  std::string network = "best";
  std::string device = "cpu";
  std::string run_log;           // Of fit.
  std::string format = "model";  // Of export.
  CompareSettings compare;
  GraphOptions graph;
  RunsSettings runs;
  ReportSettings report;
  model::EncoderPrecision precision = model::EncoderPrecision::kAuto;

  RunPlaces Places() const {
    return {.data = data, .weights = weights, .work = work, .threads = threads, .device = device};
  }
};

absl::Status Import(const Settings& settings) {
  ORCHARD_ASSIGN_OR_RETURN(ImportedNetwork network, ImportMobileNetV2(settings.weights));
  std::printf("imported MobileNetV2 from %s\n", settings.weights.c_str());
  if (!settings.out.empty()) {
    const std::string bytes =
        model::SerialiseSafetensors(model::StateOf(*network.encoder, "", model::Precision::kHalf));
    ORCHARD_RETURN_IF_ERROR(core::WriteFile(settings.out, bytes));
    std::printf("wrote the encoder to %s\n", settings.out.c_str());
  }
  if (!settings.verify) return absl::OkStatus();
  ORCHARD_ASSIGN_OR_RETURN(const ImportCheck check, CheckImport(network, settings.weights));
  std::printf(
      "ImageNet check: %zu/%zu top-1, %zu/%zu top-5; %zu first classes other than the reference's; "
      "largest difference of a probability %.4f\n",
      check.top1, check.pictures, check.top5, check.pictures, check.other_top1,
      check.largest_difference);
  return JudgeImport(check);
}

absl::Status CheckWeights(const Study& study, bool needed, const Settings& settings) {
  if (!needed || !settings.weights.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("--weights: study ", std::string(study.name),
                                                 " begins with a pretrained encoder: a folder with "
                                                 "torchvision's MobileNetV2, or a model"));
}

absl::Status RunFit(const Settings& settings) {
  ORCHARD_ASSIGN_OR_RETURN(const v1::Recipe recipe,
                           ReadRecipe(settings.recipe, settings.overrides));
  ORCHARD_ASSIGN_OR_RETURN(const Study* study, StudyOf(recipe));
  ORCHARD_RETURN_IF_ERROR(CheckWeights(*study, study->needs_weights, settings));
  ORCHARD_ASSIGN_OR_RETURN(const std::unique_ptr<Recorder> log,
                           MakeRecorder(settings.run_log, recipe, std::string(study->name),
                                        settings.Places(), settings.resume));
  const auto fit = [&] {
    return study->fit(recipe, settings.Places(),
                      {.resume = settings.resume,
                       .start_from = settings.start_from,
                       .stop_after = settings.stop_after,
                       .time_limit = settings.time_limit,
                       .log = log.get()});
  };
  const absl::Status status = nets::Guarded("fit", fit);
  std::error_code error;
  if (log != nullptr) log->End(status, fs::exists(settings.work / kFinal, error));
  return status;
}

absl::Status RunExport(const Settings& settings) {
  const bool onnx = settings.format == "onnx";
  if (!settings.model.empty()) {
    if (onnx) return RunOnnxExport(settings.model, settings.out, settings.overwrite);
    return absl::InvalidArgumentError(
        "--model: a model is exported as ONNX files alone, with --format onnx");
  }
  ORCHARD_ASSIGN_OR_RETURN(const v1::Recipe recipe, ReadRecipe(settings.work / kRecipe, {}));
  ORCHARD_ASSIGN_OR_RETURN(const Study* study, StudyOf(recipe));
  if (study->write_model == nullptr) {
    return absl::UnimplementedError(absl::StrCat("a network of study ", std::string(study->name),
                                                 " can't be exported as a model yet"));
  }
  ORCHARD_RETURN_IF_ERROR(CheckWeights(*study, study->export_needs_weights, settings));
  if (!study->takes_experts && !settings.experts.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--expert: study ", std::string(study->name), " has experts of its own"));
  }
  const fs::path folder = onnx ? settings.out / "model" : settings.out;
  ORCHARD_RETURN_IF_ERROR(study->write_model(settings.Places(), {.out = folder,
                                                                 .name = settings.name,
                                                                 .version = settings.version,
                                                                 .overwrite = settings.overwrite,
                                                                 .experts = settings.experts}));
  return onnx ? RunOnnxExport(folder, settings.out, settings.overwrite) : absl::OkStatus();
}

absl::Status RunMeasurement(const Settings& settings) {
  ORCHARD_ASSIGN_OR_RETURN(const v1::Recipe recipe, ReadRecipe(settings.work / kRecipe, {}));
  ORCHARD_ASSIGN_OR_RETURN(const Study* study, StudyOf(recipe));
  if (study->measure == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("study ", std::string(study->name),
                     " is measured as it is served: orchard-train export, then eval"));
  }
  return study->measure(settings.Places(), {.split = settings.split,
                                            .network = settings.network,
                                            .judge_routers = !settings.skip_routers,
                                            .json = settings.json});
}

absl::Status RunEvaluation(const Settings& settings) {
  ORCHARD_ASSIGN_OR_RETURN(const Report report,
                           EvaluateModel({.model = settings.model,
                                          .data = settings.data,
                                          .split = settings.split,
                                          .precision = settings.precision,
                                          .threads = settings.threads,
                                          .other_policies = !settings.skip_policies}));
  std::fputs((settings.json ? ToJson(report) : ToText(report)).c_str(), stdout);
  return settings.record ? Record(settings.model, report) : absl::OkStatus();
}

absl::Status SelfTestDevice(const Settings& settings) {
  ORCHARD_ASSIGN_OR_RETURN(const torch::Device device, ParseDevice(settings.device));
  std::fputs(DescribeDevice(device).c_str(), stdout);
  ORCHARD_ASSIGN_OR_RETURN(const SelfTest result, RunSelfTest({.device = device,
                                                               .threads = settings.threads,
                                                               .batch = settings.batch,
                                                               .steps = settings.steps}));
  std::printf(
      "forwards, double precision: the largest difference from the CPU is %.1e of the largest "
      "logit\ntraining, %zu steps of %zu pictures an epoch: loss %.4f to %.4f, %.0f pictures/s\n",
      result.difference, settings.steps, settings.batch, result.first_loss, result.last_loss,
      result.pictures_per_second);
  return JudgeSelfTest(result);
}

absl::Status WriteNewRecipe(const Settings& settings) {
  if (fs::exists(settings.out)) {
    return absl::AlreadyExistsError(absl::StrCat(settings.out.string(), " is there already"));
  }
  ORCHARD_ASSIGN_OR_RETURN(const std::string text, NewRecipe(settings.data, settings.name));
  ORCHARD_RETURN_IF_ERROR(core::WriteFile(settings.out, text));
  std::printf(
      "wrote %s; next:\n  orchard-train fit --recipe '%s' --data '%s' --weights models/default "
      "--work "
      "runs/%s\n",
      settings.out.c_str(), settings.out.c_str(), settings.data.c_str(), settings.name.c_str());
  return absl::OkStatus();
}

absl::StatusOr<PictureSet> ReadSet(const Settings& settings) {
  ORCHARD_ASSIGN_OR_RETURN(const v1::Recipe recipe,
                           ReadRecipe(settings.recipe, settings.overrides));
  return ReadPictureSet(settings.data, recipe, settings.threads);
}

absl::Status RunStats(const Settings& settings) {
  ORCHARD_ASSIGN_OR_RETURN(const PictureSet set, ReadSet(settings));
  std::fputs(StatisticsText(set, settings.threads).c_str(), stdout);
  return absl::OkStatus();
}

absl::Status RunScan(const Settings& settings) {
  ORCHARD_ASSIGN_OR_RETURN(const PictureSet set, ReadSet(settings));
  std::fputs(ScanText(set, settings.correlation, settings.threads).c_str(), stdout);
  return absl::OkStatus();
}

void DeclareThreads(CLI::App& app, Settings& s) {
  app.add_option("--threads", s.threads, "computing threads")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
}

void DeclareDevice(CLI::App& app, Settings& s) {
  app.add_option("--device", s.device, "where to compute: cpu, cuda or cuda:N")
      ->capture_default_str();
}

void Declare(CLI::App& app, Settings& s) {
  app.require_subcommand(1);
  CLI::App* import = app.add_subcommand("import", "Check a pretrained MobileNetV2 and copy it");
  import->add_option("--weights", s.weights, "folder with mobilenet_v2*.safetensors")->required();
  import->add_option("--out", s.out, "file to write the encoder to (safetensors)");
  import->add_flag("--verify", s.verify,
                   "classify the folder's imagenet_check pictures; fails if they differ");

  CLI::App* fresh = app.add_subcommand("new", "Write a recipe for a folder of pictures");
  fresh->add_option("--data", s.data, "folder of <domain>/<class>/ pictures")->required();
  fresh->add_option("--out", s.out, "file to write the recipe to (text proto)")->required();
  fresh->add_option("--name", s.name, "of the run")->capture_default_str();

  CLI::App* fit = app.add_subcommand("fit", "Train by a recipe; may be killed and resumed");
  fit->add_option("--recipe", s.recipe, "text proto, see training/recipes/")->required();
  fit->add_option("--data", s.data, "folder of <domain>/<class>/ pictures")->required();
  fit->add_option("--weights", s.weights,
                  "folder with torchvision's MobileNetV2 (or VGG16's convolutions, if the recipe "
                  "begins with them), or a model whose encoder is taken");
  fit->add_option("--work,--out", s.work, "folder for checkpoints and records")->required();
  fit->add_option("--set", s.overrides, "field=value of the recipe, repeatable");
  fit->add_flag("--resume", s.resume, "go on from the work folder's checkpoint");
  fit->add_option("--start-from", s.start_from,
                  "work folder of a finished run whose network to begin with");
  fit->add_option("--stop-after", s.stop_after, "stop after this epoch for now; 0: don't")
      ->capture_default_str();
  fit->add_option("--time-limit", s.time_limit,
                  "seconds; stop for now with the last epoch that fits; 0: don't")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  DeclareDevice(*fit, s);
  DeclareRunLog(*fit, s.run_log,
                "where to write the run's history: a file, mongodb://HOST:PORT/DATABASE, or none; "
                "default runs.sqlite beside the work folder");
  DeclareThreads(*fit, s);

  CLI::App* measure = app.add_subcommand("measure", "Measure a run's network before it is a model");
  measure->add_option("--work", s.work, "folder of the run")->required();
  measure->add_option("--data", s.data, "folder of the run's pictures")->required();
  measure->add_option("--split", s.split, "which pictures")
      ->check(CLI::IsMember({"train", "validation", "test"}))
      ->capture_default_str();
  measure->add_option("--network", s.network, "of the best validation, or the last")
      ->check(CLI::IsMember({"best", "final"}))
      ->capture_default_str();
  measure->add_flag("--skip-routers", s.skip_routers,
                    "no verdicts on routers: they take a pass over the pictures a layer");
  measure->add_flag("--json", s.json, "one JSON object instead of text");
  DeclareDevice(*measure, s);
  DeclareThreads(*measure, s);

  CLI::App* out = app.add_subcommand(
      "export", "Calibrate a run and write a version folder, or a model's parts as ONNX files");
  CLI::Option_group* from = out->add_option_group("from");
  CLI::Option* work = from->add_option("--work", s.work, "folder of the run");
  from->add_option("--model", s.model, "for --format onnx: a finished model instead");
  from->require_option(1);
  work->needs(out->add_option("--data", s.data, "folder of the run's pictures"));
  out->add_option("--format", s.format, "what is written: a version folder, or ONNX files")
      ->check(CLI::IsMember({"model", "onnx"}))
      ->capture_default_str();
  out->add_option("--weights", s.weights,
                  "folder with torchvision's MobileNetV2, or a model whose encoder is taken");
  out->add_option("--out", s.out,
                  "version folder, for example models/default/1; a run's, with --format onnx, is "
                  "model/ in it")
      ->required();
  out->add_option("--name", s.name, "name of the model")->capture_default_str();
  out->add_option("--model-version", s.version, "its version")->capture_default_str();
  out->add_flag("--overwrite", s.overwrite, "replace a model that is there");
  out->add_option("--expert", s.experts,
                  "DOMAIN=MODEL, a finished expert to put under gates, repeatable");
  DeclareThreads(*out, s);

  CLI::App* eval = app.add_subcommand("eval", "Measure a model with the router's own pipeline");
  eval->add_option("--model", s.model, "version folder, or folder of versions")->required();
  eval->add_option("--data", s.data, "folder of <domain>/<class>/ pictures")->required();
  eval->add_option("--split", s.split, "which pictures; all for those that training never saw")
      ->check(CLI::IsMember({"train", "validation", "test", "all"}))
      ->capture_default_str();
  eval->add_option("--encoder-precision", s.precision, "how the encoder multiplies")
      ->transform(CLI::CheckedTransformer(model::NamedEncoderPrecisions()))
      ->default_str("auto");
  eval->add_flag("--json", s.json, "one JSON object instead of tables");
  eval->add_flag("--skip-policies", s.skip_policies,
                 "the default policy alone: each other one takes a pass over the pictures");
  eval->add_flag("--record", s.record, "write the figures into manifest and PROVENANCE.md");
  DeclareThreads(*eval, s);

  CLI::App* test = app.add_subcommand(
      "self-test", "Compare a device with the CPU and train a little on it; needs no data");
  DeclareDevice(*test, s);
  test->add_option("--batch", s.batch, "pictures a step")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  test->add_option("--steps", s.steps, "steps of each of two epochs")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  DeclareThreads(*test, s);
}

/// What a recipe's pictures are, before anything is trained.
void DeclareSurveys(CLI::App& app, Settings& s) {
  CLI::App* stats = app.add_subcommand("stats", "Count a recipe's pictures; mean and deviation");
  CLI::App* scan =
      app.add_subcommand("scan", "Find pictures that are there twice, across sides and classes");
  scan->add_option("--correlation", s.correlation, "from which on two pictures are nearly equal")
      ->check(CLI::Range(0.5, 1.0))
      ->capture_default_str();
  for (CLI::App* survey : {stats, scan}) {
    survey->add_option("--recipe", s.recipe, "text proto, see training/recipes/")->required();
    survey->add_option("--data", s.data, "folder of the recipe's pictures")->required();
    survey->add_option("--set", s.overrides, "field=value of the recipe, repeatable");
    DeclareThreads(*survey, s);
  }
}

// Exit codes, as those of the services: docs/training.md.
constexpr int kDone = 0;
constexpr int kFailed = 1;
constexpr int kUsage = 2;

absl::Status RunSubcommand(const CLI::App& app, const Settings& settings) {
  if (app.got_subcommand("import")) return Import(settings);
  if (app.got_subcommand("new")) return WriteNewRecipe(settings);
  if (app.got_subcommand("fit")) return RunFit(settings);
  if (app.got_subcommand("measure")) return RunMeasurement(settings);
  if (app.got_subcommand("export")) return RunExport(settings);
  if (app.got_subcommand("self-test")) return SelfTestDevice(settings);
  if (app.got_subcommand("stats")) return RunStats(settings);
  if (app.got_subcommand("scan")) return RunScan(settings);
  if (app.got_subcommand("compare")) return RunCompare(settings.compare);
  if (app.got_subcommand("graph")) return RunGraph(settings.graph);
  if (app.got_subcommand("report")) return RunReport(settings.report);
  if (app.got_subcommand("runs")) return RunRuns(*app.get_subcommand("runs"), settings.runs);
  return RunEvaluation(settings);
}

/// One line, whatever the message is: it may carry what a library says, over several lines, and
/// names of files.
void SayWhyItFailed(const absl::Status& status) {
  std::string line(status.message());
  std::ranges::replace(line, '\n', ' ');
  std::fprintf(stderr, "orchard-train: %s\n", core::Printable(line).c_str());
}

/// CLI11 repeats what was typed, or what a shell made of a folder.
int ParseFailure(const CLI::App& app, const CLI::ParseError& error) {
  std::ostringstream fault;
  if (app.exit(error, std::cout, fault) == 0) return kDone;
  std::istringstream lines(fault.str());
  for (std::string line; std::getline(lines, line);) std::cerr << core::Printable(line) << '\n';
  return kUsage;
}

int Main(int argc, char** argv) {
  core::PutInheritedRight();
  // LibTorch's activations are large and short-lived: malloc keeps them. Refused: only slower.
  server::TuneAllocator().IgnoreError();
  CLI::App app("Trains, exports and measures Orchard's models.", "orchard-train");
  app.set_version_flag("--version", std::string("orchard-train ") + core::kVersion);
  Settings settings;
  Declare(app, settings);
  DeclareSurveys(app, settings);
  DeclareGraph(app, settings.graph);
  DeclareRuns(app, settings.runs);
  DeclareReport(app, settings.report);
  DeclareCompare(app, settings.compare);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return ParseFailure(app, error);
  }
  // May start us again.
  const core::KernelAdvice kernels = model::SettleBlasKernels(argv, PutMongoAway);
  if (!kernels.message.empty()) {
    std::fprintf(stderr, "orchard-train: %s\n", kernels.message.c_str());
  }
  const absl::Status status = nets::Guarded(app.get_subcommands().at(0)->get_name(),
                                            [&] { return RunSubcommand(app, settings); });
  if (status.ok()) return kDone;
  SayWhyItFailed(status);
  return kFailed;
}

}  // namespace
}  // namespace orchard::training

int main(int argc, char** argv) { return orchard::training::Main(argc, argv); }
