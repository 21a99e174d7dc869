#include "tests/unit/training/onnx/onnx_cases.h"

#include <cmath>
#include <cstring>
#include <functional>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include <torch/torch.h>

#include "nets/backbones/backbone.h"
#include "nets/backbones/fruit_net.h"
#include "nets/mobilenet_v2.h"
#include "nets/network.h"
#include "nets/sparse/token_router.h"
#include "nets/vit_moe/vit_moe.h"
#include "tests/testing/pictures.h"

namespace orchard::training {
namespace {

using model::PartNetwork;
using Make = std::function<PartNetwork()>;
using Cases = std::map<std::string, Make>;

constexpr int64_t kSide = 64;     // pixels
constexpr int64_t kVitSide = 16;  // pixels
constexpr int64_t kClasses = 7;

/// Statistics that a norm can't take for none, and matrices that make a token's way depend on it.
void Liven(torch::nn::Module& module, bool matrices) {
  const torch::NoGradGuard guard;
  for (auto& buffer : module.named_buffers()) {
    if (buffer.key().find("running_mean") != std::string::npos) buffer.value().normal_(0.0, 0.1);
    if (buffer.key().find("running_var") != std::string::npos) buffer.value().uniform_(0.6, 1.4);
  }
  for (auto& parameter : module.named_parameters()) {
    torch::Tensor& value = parameter.value();
    if (value.dim() < 2) {
      value.add_(0.05 * torch::randn_like(value));
    } else {
      const auto fan_in = static_cast<double>(value.numel() / value.size(0));
      value.normal_(0.0, matrices ? 0.3 : std::sqrt(2.0 / fan_in));
    }
  }
}

/// Pixels [N, side, side, 3] → one output, "logits".
template <typename Network>
PartNetwork OnPictures(const std::string& name, Network network, int64_t side, bool matrices,
                       const std::function<torch::Tensor(const torch::Tensor&)>& forward) {
  Liven(*network, matrices);
  network->eval();
  for (torch::Tensor& parameter : network->parameters()) parameter.set_requires_grad(false);
  const torch::Tensor mean = torch::tensor({0.45F, 0.44F, 0.4F});
  const torch::Tensor std = torch::tensor({0.25F, 0.24F, 0.26F});
  return {.name = name,
          .module = std::shared_ptr<torch::nn::Module>(network),
          .forward =
              [forward, mean, std](const torch::Tensor& pixels) {
                return std::vector<torch::Tensor>{
                    forward(nets::Standardise(pixels, mean, std).contiguous())};
              },
          .input = "pixels",
          .row_shape = {side, side, 3},
          .outputs = {"logits"}};
}

void AddBackbones(Cases& cases) {
  using nets::BackboneKind;
  const auto add = [&cases](const std::string& name, const nets::BackboneOptions& options) {
    cases[name] = [name, options] {
      const nets::Backbone network = *nets::MakeBackbone(options);
      const int64_t side = options.kind == BackboneKind::kVgg16 ? 32 : kSide;
      return OnPictures(name, network, side, /*matrices=*/false,
                        [network](const torch::Tensor& x) { return network->forward(x); });
    };
  };
  add("simple_cnn", {.kind = BackboneKind::kSimpleCnn});
  add("vgg16", {.kind = BackboneKind::kVgg16});
  add("resnet18", {.kind = BackboneKind::kResNet18, .classes = kClasses});
  add("resnet50", {.kind = BackboneKind::kResNet50, .classes = kClasses});
  add("resnet50_keras", {.kind = BackboneKind::kResNet50, .classes = kClasses, .keras = true});
  add("efficientnet_b0", {.kind = BackboneKind::kEfficientNetB0, .classes = kClasses});
  add("efficientnet_lite0", {.kind = BackboneKind::kEfficientNetLite0, .classes = kClasses});
  add("efficientnet_lite2", {.kind = BackboneKind::kEfficientNetLite2, .classes = kClasses});
}

void AddFruitNets(Cases& cases) {
  using nets::BackboneKind;
  using nets::TrunkAttention;
  const auto add = [&cases](const std::string& name, nets::FruitNetOptions options) {
    options.side = options.trunk == BackboneKind::kSimpleCnn ? kSide : 32;
    cases[name] = [name, options] {
      nets::FruitNet network = *nets::MakeFruitNet(options);
      return OnPictures(name, network.ptr(), options.side, /*matrices=*/false,
                        [network](const torch::Tensor& x) mutable { return network->forward(x); });
    };
  };
  add("fruit_cnn", {.classes = kClasses});
  add("fruit_cnn_binary", {.classes = 1});
  add("fruit_cnn_se", {.attention = TrunkAttention::kSeEnd, .same_padding = true});
  add("fruit_cnn_added", {.attention = TrunkAttention::kAddEnd});
  add("fruit_vgg16_se_stages",
      {.trunk = BackboneKind::kVgg16, .attention = TrunkAttention::kSeStages});
  add("fruit_resnet18_cbam",
      {.trunk = BackboneKind::kResNet18, .attention = TrunkAttention::kCbamStages});
  add("fruit_resnet50_se",
      {.trunk = BackboneKind::kResNet50, .attention = TrunkAttention::kSeEnd, .keras = true});
}

nets::VitOptions TinyVit() {
  nets::VitOptions options;
  options.classes = kClasses;
  options.side = kVitSide;
  options.patch = 4;
  options.width = 24;
  options.layers = 2;
  options.heads = 3;
  options.hidden = 32;
  options.router.experts = 5;
  options.router.top_k = 2;
  return options;
}

void AddVit(Cases& cases, const std::string& name, const nets::VitOptions& options) {
  cases[name] = [name, options] {
    nets::Vit network = *nets::MakeVit(options);
    return OnPictures(
        name, network.ptr(), options.side, /*matrices=*/true,
        [network](const torch::Tensor& x) mutable { return network->forward(x).logits; });
  };
}

void AddVits(Cases& cases) {
  using nets::RouterKind;
  using nets::UncertaintyMode;
  nets::VitOptions parity = TinyVit();
  parity.mode = nets::VitMode::kParity;
  AddVit(cases, "vit_parity", parity);
  for (const RouterKind kind :
       {RouterKind::kLinear, RouterKind::kCosineToken, RouterKind::kSwitch, RouterKind::kNoisyTopK,
        RouterKind::kVMoe, RouterKind::kExpertChoice, RouterKind::kLossFree, RouterKind::kMlp,
        RouterKind::kCrossAttention}) {
    nets::VitOptions options = TinyVit();
    options.convolutional_stem = kind == RouterKind::kLinear;
    options.router.kind = kind;
    options.router.heads = 3;
    if (kind == RouterKind::kSwitch) options.router.top_k = 1;
    AddVit(cases, absl::StrCat("vit_", std::string(nets::NameOf(kind))), options);
  }
  for (const auto& [name, mode] :
       std::map<std::string, UncertaintyMode>{{"off", UncertaintyMode::kOff},
                                              {"mean", UncertaintyMode::kMean},
                                              {"mean-test", UncertaintyMode::kMeanTest},
                                              {"inv-std", UncertaintyMode::kInvStd}}) {
    nets::VitOptions options = TinyVit();
    options.router.kind = RouterKind::kUncertain;
    options.router.mode = mode;
    AddVit(cases, "vit_uncertain_" + name, options);
  }
  nets::VitOptions dense = TinyVit();
  dense.layer = nets::VitLayer::kDense;
  AddVit(cases, "vit_dense", dense);
  nets::VitOptions soft = TinyVit();
  soft.layer = nets::VitLayer::kSoft;
  AddVit(cases, "vit_soft", soft);
}

void AddModulated(Cases& cases) {
  using nets::FmeKind;
  for (const FmeKind kind :
       {FmeKind::kStatic, FmeKind::kCond, FmeKind::kLowRank, FmeKind::kHidden, FmeKind::kAfter}) {
    nets::VitOptions options = TinyVit();
    options.layer = nets::VitLayer::kModulated;
    options.fme.kind = kind;
    options.fme.rank = 3;
    options.fme.pre_transform = kind == FmeKind::kCond;
    AddVit(cases, absl::StrCat("mofme_", std::string(nets::NameOf(kind))), options);
  }
}

/// What the registry knows, as parts of a model.
void AddHeads(Cases& cases) {
  for (const nets::HeadEntry& entry : nets::FeatureHeads()) {
    const std::string name(entry.name);
    cases["head_" + name] = [name, &entry] {
      const nets::Head head = *nets::MakeHead(*nets::NetworkOf(name, {}), {.classes = kClasses});
      Liven(*head, /*matrices=*/false);
      return model::HeadNetwork("head_" + name, head, entry.feature_kind, {},
                                /*temperature=*/1.3);
    };
  }
}

orchard::v1::Preprocessing ImageNet() {
  orchard::v1::Preprocessing p;
  p.set_crop(224);
  for (const float mean : {0.485F, 0.456F, 0.406F}) p.add_mean(mean);
  for (const float std : {0.229F, 0.224F, 0.225F}) p.add_std(std);
  return p;
}

const Cases& AllCases() {
  static const auto& all = *[] {
    auto* const cases = new Cases();
    (*cases)["mobilenet_v2"] = [] {
      nets::MobileNetV2 network;
      Liven(*network, /*matrices=*/false);
      return model::EncoderNetwork(network, ImageNet());
    };
    AddBackbones(*cases);
    AddFruitNets(*cases);
    AddVits(*cases);
    AddModulated(*cases);
    AddHeads(*cases);
    return cases;
  }();
  return all;
}

}  // namespace

std::vector<std::string> OnnxCaseNames() {
  std::vector<std::string> names;
  for (const auto& [name, make] : AllCases()) names.push_back(name);
  return names;
}

PartNetwork MakeOnnxCase(const std::string& name) {
  torch::manual_seed(static_cast<uint64_t>(name.size()) + static_cast<unsigned char>(name.back()));
  return AllCases().at(name)();
}

torch::Tensor OnnxCaseInput(const PartNetwork& part, int64_t rows) {
  std::vector<int64_t> shape = part.row_shape;
  shape.insert(shape.begin(), rows);
  if (part.input != "pixels") {
    torch::manual_seed(5);
    return torch::randn(shape).abs();  // Features are what a ReLU6 leaves, and a mean of it.
  }
  const torch::Tensor pixels = torch::empty(shape, torch::kUInt8);
  const auto side = static_cast<size_t>(part.row_shape[0]);
  for (int64_t row = 0; row < rows; ++row) {
    const auto seed = static_cast<uint64_t>(row);
    const vision::Image image =
        row % 2 == 0 ? testing::DrawLeaf(side, side, seed) : testing::DrawGrains(side, side, seed);
    std::memcpy(pixels[row].data_ptr(), image.rgb.data(), image.rgb.size());
  }
  return pixels;
}

std::vector<torch::Tensor> Answers(const PartNetwork& part, const torch::Tensor& input) {
  const torch::NoGradGuard guard;
  return part.forward(input);
}

}  // namespace orchard::training
