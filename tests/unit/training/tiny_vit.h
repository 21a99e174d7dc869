#pragma once

#include <filesystem>
#include <string>

#include <gtest/gtest.h>

#include "core/text.h"
#include "orchard/training/v1/recipe.pb.h"
#include "tests/testing/pictures.h"
#include "tests/testing/temp_dir.h"
#include "training/work_folder.h"

/// \file
/// A recipe of study vit_moe and a handful of drawn pictures, so small that a run takes a second.

namespace orchard::training {

/// One domain "plain", pictures of 16 × 16, two layers of four experts.
inline v1::Recipe TinyVitRecipe() {
  v1::Recipe recipe;
  recipe.set_name("tiny");
  recipe.set_seed(3);
  v1::Domain& domain = *recipe.add_domains();
  domain.set_name("plain");
  domain.set_branch("sound");
  recipe.mutable_data()->set_validation_share(0.25);
  recipe.mutable_data()->set_test_share(0.25);
  recipe.mutable_data()->set_epoch_pictures(16);
  orchard::v1::Preprocessing& p = *recipe.mutable_preprocessing();
  p.set_profile("tiny16");
  p.set_shorter_side(16);
  p.set_crop(16);
  p.set_framing(orchard::v1::WHOLE_PICTURE);
  for (int c = 0; c < 3; ++c) {
    p.add_mean(0.5F);
    p.add_std(0.25F);
  }
  v1::Optimisation& o = *recipe.mutable_optimisation();
  o.set_epochs(3);
  o.set_batch(4);
  o.set_head_rate(3e-3);
  o.set_weight_decay(0.05);
  o.set_average_decay(0.5);
  o.set_gradient_norm(1.0);
  o.set_warmup_epochs(1);
  recipe.mutable_augmentation()->set_min_area(0.8);
  v1::VitMoe& study = *recipe.mutable_vit_moe();
  orchard::v1::VitMoe& network = *study.mutable_network();
  network.set_side(16);
  network.set_width(16);
  network.set_layers(2);
  network.set_heads(4);
  network.set_hidden(24);
  network.set_experts(4);
  network.set_top_k(2);
  study.set_dropout(0.1);
  study.set_drop_path(0.1);
  study.set_label_smoothing(0.1);
  study.mutable_router_losses()->set_balance(0.01);
  study.mutable_router_losses()->set_z(0.001);
  return recipe;
}

/// Pictures of the classes red, blue and grains, and work folders beside them.
class TinyVitTest : public ::testing::Test {
 protected:
  static constexpr size_t kPictures = 12;  ///< a class

  TinyVitTest() {
    for (size_t i = 0; i < kPictures; ++i) {
      const std::string name = std::to_string(i) + ".png";
      const auto shade = static_cast<std::uint8_t>(40 + 15 * i);
      WritePng("red" + ("/" + name), testing::DrawPlain(16, 16, shade, 20, 20));
      WritePng("blue" + ("/" + name), testing::DrawPlain(16, 16, 20, 20, shade));
      WritePng("grains" + ("/" + name), testing::DrawGrains(16, 16, 7 + i));
    }
    std::string list = "class\tid\tgroup\n";  // Each picture a group of its own.
    for (const std::string label : {"red", "blue", "grains"}) {
      for (size_t i = 0; i < kPictures; ++i) {
        const std::string id = std::to_string(i);
        list += label + "\t" + id + "\t" + label + id + "\n";
      }
    }
    core::WriteFile(root_ / "data" / "plain.tsv", list).IgnoreError();
  }

  void WritePng(const std::string& name, const vision::Image& image) {
    const std::filesystem::path file = root_ / "data" / "plain" / name;
    std::filesystem::create_directories(file.parent_path());
    core::WriteFile(file, testing::EncodePng(image)).IgnoreError();
  }

  RunPlaces Places(const std::string& work) const {
    return {.data = root_ / "data", .weights = {}, .work = root_ / work, .threads = 1};
  }

  std::string Read(const std::filesystem::path& file) const {
    const auto text = core::ReadFile(root_ / file);
    EXPECT_TRUE(text.ok()) << text.status();
    return text.value_or("");
  }

  testing::TempDir root_;
};

}  // namespace orchard::training
