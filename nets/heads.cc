#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "nets/bottleneck_tail.h"
#include "nets/head.h"
#include "nets/linear.h"
#include "nets/mbconv_tail.h"
#include "nets/mlp.h"
#include "nets/mobilenet_v2.h"

namespace orchard::nets {
namespace {

using core::FeatureKind;

template <typename T>
Head Make(const HeadArgs& args) {
  return std::make_shared<T>(args);
}

absl::Status CheckArguments(const HeadEntry& entry, const HeadArgs& args) {
  for (const auto& [name, value] : args.arguments) {
    if (std::ranges::find(entry.arguments, name) == entry.arguments.end()) {
      return absl::InvalidArgumentError(absl::StrCat("architecture ", std::string(entry.name),
                                                     " takes no argument \"", name, "\""));
    }
    if (value <= 0) {
      return absl::InvalidArgumentError(absl::StrCat("architecture ", std::string(entry.name),
                                                     ": argument ", name, " is ", value,
                                                     ", must be positive"));
    }
    if (value % kChannelStep != 0) {
      return absl::InvalidArgumentError(absl::StrCat("architecture ", std::string(entry.name),
                                                     ": argument ", name, " is ", value,
                                                     ", must be a multiple of ", kChannelStep));
    }
  }
  return absl::OkStatus();
}

}  // namespace

void HeadModule::InitialiseFrom(torch::nn::Module& /*last_block*/) {}

int64_t HeadArgs::Get(const std::string& name, int64_t fallback) const {
  const auto found = arguments.find(name);
  return found == arguments.end() ? fallback : found->second;
}

const std::vector<HeadEntry>& Heads() {
  static const auto& heads = *new std::vector<HeadEntry>{
      {"linear", FeatureKind::kPooled, {}, &Make<LinearHead>},
      {"mlp", FeatureKind::kPooled, {"hidden"}, &Make<MlpHead>},
      {"bottleneck_tail", FeatureKind::kMap, {"width"}, &Make<BottleneckTail>},
      {"mbconv_tail", FeatureKind::kMap, {"hidden", "squeeze"}, &Make<MbconvTail>},
  };
  return heads;
}

absl::StatusOr<const HeadEntry*> FindHead(std::string_view architecture, const HeadArgs& args) {
  std::vector<std::string> names;
  for (const HeadEntry& entry : Heads()) {
    if (entry.name != architecture) {
      names.emplace_back(entry.name);
      continue;
    }
    if (args.classes < 2) {
      return absl::InvalidArgumentError(
          absl::StrCat("a head needs at least 2 classes, not ", args.classes));
    }
    if (absl::Status status = CheckArguments(entry, args); !status.ok()) return status;
    return &entry;
  }
  return absl::InvalidArgumentError(absl::StrCat("unknown architecture \"",
                                                 std::string(architecture),
                                                 "\"; known: ", absl::StrJoin(names, ", ")));
}

absl::StatusOr<Head> MakeHead(std::string_view architecture, const HeadArgs& args) {
  const auto entry = FindHead(architecture, args);
  if (!entry.ok()) return entry.status();
  return (*entry)->make(args);
}

std::vector<int64_t> RowShape(core::FeatureKind kind) {
  if (kind == FeatureKind::kMap) return {kMapChannels, kMapSide, kMapSide};
  return {kPooledWidth};
}

}  // namespace orchard::nets
