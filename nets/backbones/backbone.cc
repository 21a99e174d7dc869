#include "nets/backbones/backbone.h"

#include <cmath>

#include "absl/strings/str_join.h"
#include <torch/nn.h>

#include "nets/backbones/efficientnet_b0.h"
#include "nets/backbones/efficientnet_lite.h"
#include "nets/backbones/resnet.h"
#include "nets/backbones/simple_cnn.h"
#include "nets/backbones/vgg16.h"
#include "nets/range_fault.h"

namespace orchard::nets {

std::string_view NameOf(BackboneKind kind) {
  switch (kind) {
    case BackboneKind::kSimpleCnn:
      return "simple_cnn";
    case BackboneKind::kVgg16:
      return "vgg16";
    case BackboneKind::kResNet18:
      return "resnet18";
    case BackboneKind::kResNet50:
      return "resnet50";
    case BackboneKind::kEfficientNetB0:
      return "efficientnet_b0";
    case BackboneKind::kEfficientNetLite0:
      return "efficientnet_lite0";
    case BackboneKind::kEfficientNetLite2:
      return "efficientnet_lite2";
  }
  return "unknown";
}

std::vector<std::string> Faults(const BackboneOptions& options) {
  std::vector<std::string> faults;
  RequireWithin(0, 65536, "classes", options.classes, faults);
  const std::string name(NameOf(options.kind));
  const bool headless =
      options.kind == BackboneKind::kSimpleCnn || options.kind == BackboneKind::kVgg16;
  if (headless && options.classes != 0) {
    faults.push_back(absl::StrCat(name, " has no classifier of its own: classes is ",
                                  options.classes, ", must be 0"));
  }
  if (options.same_padding && options.kind != BackboneKind::kSimpleCnn) {
    faults.push_back(absl::StrCat("same_padding is of simple_cnn, not of ", name));
  }
  if (options.keras && options.kind != BackboneKind::kResNet50) {
    faults.push_back(absl::StrCat("keras is a form of resnet50, not of ", name));
  }
  return faults;
}

torch::Tensor BackboneImpl::forward(const torch::Tensor& x) {
  return Classify(Map(x, nullptr).mean({2, 3}));
}

absl::StatusOr<Backbone> MakeBackbone(const BackboneOptions& options) {
  if (const auto faults = Faults(options); !faults.empty()) {
    return absl::InvalidArgumentError(absl::StrJoin(faults, "; "));
  }
  Backbone backbone;
  switch (options.kind) {
    case BackboneKind::kSimpleCnn:
      backbone = std::make_shared<SimpleCnn>(options.same_padding);
      break;
    case BackboneKind::kVgg16:
      backbone = std::make_shared<Vgg16>();
      break;
    case BackboneKind::kResNet18:
    case BackboneKind::kResNet50:
      backbone = std::make_shared<ResNet>(options);
      break;
    case BackboneKind::kEfficientNetB0:
      backbone = std::make_shared<EfficientNetB0>(options.classes);
      break;
    case BackboneKind::kEfficientNetLite0:
    case BackboneKind::kEfficientNetLite2:
      backbone = std::make_shared<EfficientNetLite>(options);
      break;
  }
  return backbone;
}

torch::Tensor After(const BackboneImpl::AfterStage& after, size_t stage, const torch::Tensor& map) {
  return after ? after(stage, map) : map;
}

void InitialiseForRelu(torch::nn::Module& module) {
  const torch::NoGradGuard guard;
  for (const auto& part : module.modules(/*include_self=*/false)) {
    if (auto* conv = part->as<torch::nn::Conv2dImpl>()) {
      const auto fan_out = static_cast<double>(conv->weight.size(0) * conv->weight.size(2) *
                                               conv->weight.size(3) / conv->options.groups());
      conv->weight.normal_(0.0, std::sqrt(2.0 / fan_out));
      if (conv->bias.defined()) conv->bias.zero_();
    } else if (auto* linear = part->as<torch::nn::LinearImpl>()) {
      linear->weight.normal_(0.0, 0.01);
      if (linear->bias.defined()) linear->bias.zero_();
    }
  }
}

}  // namespace orchard::nets
