#include "training/studies/gates/experts.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"

#include "core/digest.h"
#include "core/status.h"
#include "core/text.h"
#include "model/manifest.h"
#include "model/store.h"
#include "training/data/split.h"
#include "training/recipe.h"
#include "training/work_folder.h"

namespace orchard::training {
namespace {

namespace fs = std::filesystem;
namespace wire = orchard::v1;

/// How the classes of an expert differ from those of the pictures; empty: they don't.
std::string ClassFault(const wire::ExpertPart& expert, const wire::ExpertPart& wanted) {
  if (expert.classes_size() != wanted.classes_size()) {
    return absl::StrCat("its expert has ", expert.classes_size(), " classes, the domain ",
                        wanted.classes_size());
  }
  for (int c = 0; c < wanted.classes_size(); ++c) {
    if (expert.classes(c) == wanted.classes(c)) continue;
    return absl::StrCat("class ", c, " is \"", expert.classes(c), "\" there and \"",
                        wanted.classes(c), "\" in the domain");
  }
  return "";
}

/// The expert of `folder`'s model, and in `faults` what is wrong with it for the domain `wanted`.
FinishedExpert ReadExpert(const fs::path& model, const wire::ExpertPart& wanted,
                          std::vector<std::string>& faults) {
  const auto note = [&](absl::string_view fault) {
    faults.push_back(absl::StrCat("--expert ", wanted.domain(), "=", model.string(), ": ", fault));
  };
  FinishedExpert expert;
  const auto folder = model::ResolveVersion(model);
  if (!folder.ok()) {
    note(folder.status().message());
    return expert;
  }
  expert.folder = *folder;
  auto manifest = model::ReadManifest(*folder);
  if (!manifest.ok()) {
    note(manifest.status().message());
    return expert;
  }
  expert.manifest = *std::move(manifest);
  if (expert.manifest.experts_size() != 1) {
    note(absl::StrCat("the model has ", expert.manifest.experts_size(),
                      " domains, must have one: an expert stands alone"));
    return expert;
  }
  const wire::ExpertPart& part = expert.part();
  if (part.feature_kind() != wire::IMAGE) {
    note(absl::StrCat("its expert reads ", wire::FeatureKind_Name(part.feature_kind()),
                      " of another encoder, must read IMAGE"));
  }
  if (const std::string fault = ClassFault(part, wanted); !fault.empty()) note(fault);
  auto weights = core::ReadFile(*folder / part.file().path());
  if (!weights.ok()) {
    note(weights.status().message());
  } else if (core::Sha256Hex(*weights) != part.file().sha256()) {
    note(absl::StrCat(part.file().path(), " is not the file of its manifest: its SHA-256 is ",
                      core::Sha256Hex(*weights), ", not ", part.file().sha256()));
  } else {
    expert.weights = *std::move(weights);
  }
  return expert;
}

std::string Names(const wire::ModelManifest& outline) {
  return absl::StrJoin(outline.experts(), ", ", [](std::string* out, const wire::ExpertPart& part) {
    absl::StrAppend(out, part.domain());
  });
}

/// The recipe by which an expert was trained, reading its pictures where `domain` has them.
std::optional<v1::Recipe> WhereWeHaveThem(v1::Recipe recipe, const v1::Domain& domain) {
  if (recipe.domains_size() != 1) return {};
  v1::Domain& own = *recipe.mutable_domains(0);
  if (own.has_gtsrb() && domain.has_gtsrb()) {
    own.mutable_gtsrb()->set_folder(domain.gtsrb().folder());
    own.mutable_gtsrb()->set_training(domain.gtsrb().training());
    own.mutable_gtsrb()->set_test(domain.gtsrb().test());
    return recipe;
  }
  if (own.has_cifar10() && domain.has_cifar10()) {
    own.mutable_cifar10()->set_folder(domain.cifar10().folder());
    own.mutable_cifar10()->set_test(domain.cifar10().test());
    return recipe;
  }
  return {};
}

}  // namespace

absl::StatusOr<std::vector<FinishedExpert>> ReadExperts(const std::vector<std::string>& given,
                                                        const wire::ModelManifest& outline) {
  std::vector<std::string> faults;
  std::map<std::string, fs::path> models;
  for (const std::string& text : given) {
    const size_t equals = text.find('=');
    const std::string domain = text.substr(0, equals);
    if (equals == std::string::npos || equals == 0 || equals + 1 == text.size()) {
      faults.push_back(absl::StrCat("--expert ", text, ": must be DOMAIN=MODEL"));
    } else if (model::DomainIndex(outline, domain) < 0) {
      faults.push_back(absl::StrCat("--expert ", text, ": the recipe has no domain \"", domain,
                                    "\"; it has ", Names(outline)));
    } else if (!models.emplace(domain, text.substr(equals + 1)).second) {
      faults.push_back(absl::StrCat("--expert ", text, ": the domain is given twice"));
    }
  }
  std::vector<FinishedExpert> experts;
  for (const wire::ExpertPart& wanted : outline.experts()) {
    const auto model = models.find(wanted.domain());
    if (model == models.end()) {
      faults.push_back(absl::StrCat("domain \"", wanted.domain(),
                                    "\" has no expert; give --expert ", wanted.domain(), "=MODEL"));
      continue;
    }
    experts.push_back(ReadExpert(model->second, wanted, faults));
  }
  if (faults.empty()) return experts;
  return absl::InvalidArgumentError(absl::StrJoin(faults, "; "));
}

absl::StatusOr<std::set<std::string>> TrainedOn(const FinishedExpert& expert,
                                                const v1::Domain& domain, const fs::path& data,
                                                size_t threads) {
  const fs::path evaluation = expert.folder / "evaluation";
  std::set<std::string> contents;
  std::error_code error;
  if (fs::exists(evaluation / kSplit, error)) {
    ORCHARD_ASSIGN_OR_RETURN(const auto sides, ReadSides(evaluation / kSplit));
    for (const auto& [content, side] : sides) {
      if (side == Side::kTrain) contents.insert(content);
    }
    return contents;
  }
  std::optional<v1::Recipe> recipe;
  if (fs::exists(evaluation / kRecipe, error)) {
    ORCHARD_ASSIGN_OR_RETURN(const v1::Recipe own, ReadRecipe(evaluation / kRecipe, {}));
    recipe = WhereWeHaveThem(own, domain);
  }
  if (!recipe) {
    std::fprintf(stderr,
                 "%s says nothing of the pictures of domain %s that it was trained on: thresholds "
                 "may be fitted on them\n",
                 evaluation.c_str(), domain.name().c_str());
    return contents;
  }
  ORCHARD_ASSIGN_OR_RETURN(const PictureSet set, ReadPictureSet(data, *recipe, threads));
  for (size_t i = 0; i < set.size(); ++i) {
    if (set.sides[i] == Side::kTrain) contents.insert(set.contents[i]);
  }
  return contents;
}

size_t MoveToTraining(const std::set<std::string>& trained_on, size_t domain, PictureSet& set) {
  size_t moved = 0;
  for (size_t i = 0; i < set.size(); ++i) {
    if (set.labels[i].domain != domain || set.sides[i] == Side::kTrain) continue;
    if (!trained_on.contains(set.contents[i])) continue;
    set.sides[i] = Side::kTrain;
    ++moved;
  }
  return moved;
}

}  // namespace orchard::training
