#include "tests/testing/tiny_vit.h"

#include <torch/torch.h>

#include "core/digest.h"
#include "core/status.h"
#include "core/text.h"
#include "model/encoder.h"
#include "model/manifest.h"
#include "model/safetensors.h"
#include "model/store.h"
#include "model/torch_state.h"
#include "nets/head.h"
#include "nets/vit_moe/vit_network.h"
#include "vision/decode.h"
#include "vision/preprocess.h"

namespace orchard::testing {
namespace {

namespace fs = std::filesystem;

v1::Network TinyNetwork() {
  v1::Network network;
  v1::VitMoe& vit = *network.mutable_vit_moe();
  vit.set_side(kTinyVitSide);
  vit.set_patch(8);
  vit.set_width(16);
  vit.set_layers(kTinyVitLayers);
  vit.set_heads(2);
  vit.set_hidden(32);
  vit.set_experts(kTinyVitExperts);
  vit.set_top_k(2);
  vit.set_stem(true);
  return network;
}

/// Weights that make pictures differ: an untrained network says the same of all.
void Liven(torch::nn::Module& network) {
  const torch::NoGradGuard guard;
  for (torch::Tensor& parameter : network.parameters()) {
    if (parameter.dim() >= 2) parameter.normal_(0.0, 0.4);
  }
}

absl::Status WriteVit(const fs::path& version_dir, v1::ExpertPart& part) {
  torch::manual_seed(7);
  part.set_feature_kind(v1::IMAGE);
  part.clear_encoder_fingerprint();
  part.clear_architecture();
  *part.mutable_architecture()->mutable_network() = TinyNetwork();
  v1::Preprocessing& preprocessing = *part.mutable_preprocessing();
  preprocessing.set_profile("signs");
  preprocessing.set_shorter_side(kTinyVitSide);
  preprocessing.set_crop(kTinyVitSide);
  preprocessing.set_framing(v1::WHOLE_PICTURE);
  for (const float mean : {0.34F, 0.31F, 0.32F}) preprocessing.add_mean(mean);
  for (const float std : {0.27F, 0.26F, 0.28F}) preprocessing.add_std(std);
  ORCHARD_ASSIGN_OR_RETURN(const nets::Head head,
                           nets::MakeHead(TinyNetwork(), {.classes = part.classes_size()}));
  Liven(head->stored());
  const std::string bytes =
      model::SerialiseSafetensors(model::StateOf(head->stored(), "", model::Precision::kFull));
  part.mutable_file()->set_path("experts/" + part.domain() + ".safetensors");
  part.mutable_file()->set_sha256(core::Sha256Hex(bytes));
  part.mutable_file()->set_version("1");
  part.mutable_file()->set_format(v1::SAFETENSORS);
  return core::WriteFile(version_dir / part.file().path(), bytes);
}

}  // namespace

absl::StatusOr<v1::ModelManifest> WriteTinyVit(const fs::path& version_dir) {
  fs::create_directories(version_dir / "experts");
  v1::ModelManifest manifest;
  manifest.set_name("vit");
  manifest.set_version("1");
  v1::ExpertPart& part = *manifest.add_experts();
  part.set_domain("sign");
  for (const char* label : {"stop", "yield", "left", "right", "ahead"}) part.add_classes(label);
  part.set_temperature(1.25);
  ORCHARD_RETURN_IF_ERROR(WriteVit(version_dir, part));
  ORCHARD_RETURN_IF_ERROR(model::WriteManifest(version_dir, manifest));
  return manifest;
}

absl::StatusOr<v1::ModelManifest> LetLookAtPictures(const fs::path& version_dir,
                                                    const std::string& domain) {
  ORCHARD_ASSIGN_OR_RETURN(v1::ModelManifest manifest, model::ReadManifest(version_dir));
  const int index = model::DomainIndex(manifest, domain);
  if (index < 0) return absl::NotFoundError(domain);
  ORCHARD_RETURN_IF_ERROR(WriteVit(version_dir, *manifest.mutable_experts(index)));
  ORCHARD_RETURN_IF_ERROR(model::WriteManifest(version_dir, manifest));
  return manifest;
}

absl::StatusOr<std::vector<double>> DirectProbabilities(const fs::path& version_dir,
                                                        const std::string& domain,
                                                        std::string_view file, size_t enough) {
  model::PrepareInferenceThread();
  ORCHARD_ASSIGN_OR_RETURN(const v1::ModelManifest manifest, model::ReadManifest(version_dir));
  const v1::ExpertPart& part = manifest.experts(model::DomainIndex(manifest, domain));
  ORCHARD_ASSIGN_OR_RETURN(const nets::Head head, nets::MakeHead(part.architecture().network(),
                                                                 {.classes = part.classes_size()}));
  ORCHARD_ASSIGN_OR_RETURN(const model::TensorMap tensors,
                           model::ReadPart(version_dir, part.file()));
  ORCHARD_RETURN_IF_ERROR(model::LoadState(head->stored(), tensors, "", "tiny vit"));
  head->eval();

  const v1::Preprocessing& p = part.preprocessing();
  const int64_t side = p.crop();
  ORCHARD_ASSIGN_OR_RETURN(const vision::Image image, vision::Decode(file, {}, enough));
  std::vector<std::uint8_t> pixels(static_cast<size_t>(side * side * 3));
  vision::FitToEncoder(image,
                       {.shorter_side = p.shorter_side(),
                        .crop = p.crop(),
                        .framing = vision::Framing::kWholePicture},
                       pixels);
  const torch::NoGradGuard guard;
  torch::Tensor x = torch::from_blob(pixels.data(), {1, side, side, 3}, torch::kUInt8)
                        .to(torch::kFloat64)
                        .permute({0, 3, 1, 2}) /
                    255.0;
  for (int64_t channel = 0; channel < 3; ++channel) {
    const int index = static_cast<int>(channel);
    x.select(1, channel).sub_(double{p.mean(index)}).div_(double{p.std(index)});
  }
  const torch::Tensor logits = head->forward(x.to(torch::kFloat32)).to(torch::kFloat64);
  const torch::Tensor probabilities = (logits / part.temperature()).softmax(1).contiguous();
  const double* const first = probabilities.data_ptr<double>();
  return std::vector<double>(first, first + probabilities.numel());
}

}  // namespace orchard::testing
