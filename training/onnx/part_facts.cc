#include "training/onnx/part_facts.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include <google/protobuf/util/json_util.h>

#include "model/manifest.h"

namespace orchard::training {
namespace {

/// How the pictures of `part` are made.
const orchard::v1::Preprocessing* FramingOf(const orchard::v1::ModelManifest& manifest,
                                            const model::PartNetwork& part) {
  if (part.input != "pixels") return nullptr;
  for (const orchard::v1::ExpertPart& expert : manifest.experts()) {
    if (part.name == absl::StrCat("experts/", expert.domain())) return &expert.preprocessing();
  }
  return &manifest.encoder().preprocessing();
}

}  // namespace

std::map<std::string, std::string> FactsOf(const orchard::v1::ModelManifest& manifest,
                                           const model::PartNetwork& part) {
  std::map<std::string, std::string> facts{{"orchard.model", model::VersionName(manifest)},
                                           {"orchard.part", part.name}};
  if (!part.labels.empty()) facts["orchard.labels"] = absl::StrJoin(part.labels, "\n");
  if (part.input != "pixels" || part.name == "encoder") {
    facts["orchard.encoder"] = manifest.encoder().fingerprint();
  }
  if (const auto* preprocessing = FramingOf(manifest, part)) {
    std::string json;  // No message of ours can fail to be JSON.
    if (google::protobuf::util::MessageToJsonString(*preprocessing, &json).ok()) {
      facts["orchard.preprocessing"] = json;
    }
  }
  return facts;
}

}  // namespace orchard::training
