#pragma once

#include <filesystem>
#include <string>

#include "core/text.h"
#include "model/torch_state.h"
#include "tests/unit/training/pictures_on_disk.h"
#include "training/import.h"
#include "training/loop/checkpoint.h"
#include "training/studies/masked_moe/fit.h"
#include "training/studies/masked_moe/run.h"

/// \file
/// A whole run on a handful of drawn pictures, in seconds.

namespace orchard::training {

inline constexpr size_t kPictures = 8;  ///< a class

inline v1::Recipe TinyRecipe() {
  v1::Recipe recipe;
  recipe.set_name("tiny");
  recipe.set_seed(5);
  const auto add = [&](const char* name, const char* branch) {
    v1::Domain& domain = *recipe.add_domains();
    domain.set_name(name);
    domain.set_branch(branch);
    return domain.mutable_expert();
  };
  add("leaf", "sick")->mutable_bottleneck_tail();
  add("plain", "sound")->mutable_linear();
  v1::MaskedMoe& m = *recipe.mutable_masked_moe();
  m.mutable_gate()->mutable_linear();
  recipe.mutable_data()->set_validation_share(0.25);
  recipe.mutable_data()->set_test_share(0.25);
  v1::Optimisation& o = *recipe.mutable_optimisation();
  o.set_epochs(2);
  o.set_batch(4);
  o.set_encoder_rate(1e-3);
  o.set_head_rate(1e-3);
  o.set_average_decay(0.9);
  m.set_frozen_blocks(16);
  m.set_head_epochs(1);
  m.set_head_dropout(0.2);
  m.set_refit_epochs(1);
  o.add_sides(64);
  recipe.mutable_augmentation()->set_min_area(0.5);
  recipe.mutable_augmentation()->set_horizontal_flip(0.5);
  m.mutable_losses()->set_branch(1.0);
  m.mutable_losses()->set_domain(1.0);
  m.mutable_losses()->set_expert(1.0);
  return recipe;
}

/// Random weights with torchvision's names, so that no test needs the real ones.
inline void WriteWeights(const std::filesystem::path& folder) {
  torch::manual_seed(9);
  nets::MobileNetV2 encoder;
  torch::nn::Linear classifier(1280, 1000);
  model::TensorMap tensors = model::StateOf(*encoder, "", model::Precision::kHalf);
  tensors.merge(model::StateOf(*classifier, "classifier.1.", model::Precision::kHalf));
  std::filesystem::create_directories(folder);
  core::WriteFile(folder / "mobilenet_v2.safetensors", model::SerialiseSafetensors(tensors))
      .IgnoreError();
}

/// Pictures, weights and work folders of tiny runs.
class TinyRun {
 public:
  TinyRun() {
    WriteTinyData(root_ / "data", kPictures);
    WriteTinyLists(root_ / "data", kPictures);
    WriteWeights(root_ / "weights");
  }

  RunPlaces Places(const std::string& work) const {
    return {
        .data = root_ / "data", .weights = root_ / "weights", .work = root_ / work, .threads = 2};
  }

  std::filesystem::path operator/(const std::filesystem::path& name) const { return root_ / name; }

 private:
  testing::TempDir root_;
};

}  // namespace orchard::training
