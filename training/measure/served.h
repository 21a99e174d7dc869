#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include <prometheus/registry.h>

#include "router/classification.h"
#include "router/engine.h"
#include "router/options.h"
#include "training/measure/questions.h"

namespace orchard::training {

/// A model behind the router's pipeline, in this process, for many pictures at once.
class ServedModel {
 public:
  /// Errors: those of router::Engine::Load.
  static absl::StatusOr<std::unique_ptr<ServedModel>> Load(const std::filesystem::path& version_dir,
                                                           size_t threads,
                                                           model::EncoderPrecision precision);

  /// One answer a picture, in order, for as long as this lives. `options` has one entry for all
  /// pictures or one each. Errors: the first picture's that fails, naming it.
  absl::StatusOr<std::vector<router::Classification>> Classify(
      std::span<const Question> questions, std::span<const router::Options> options);

  const orchard::v1::ModelManifest& manifest() const {
    return engine_->models().first()->manifest();
  }
  const router::Catalogue& catalogue() const { return engine_->models().first()->catalogue(); }

 private:
  ServedModel() = default;

  prometheus::Registry registry_;  // Before the engine: outlives it.
  std::unique_ptr<router::Engine> engine_;
};

}  // namespace orchard::training
