#include "training/measure/questions.h"

#include <algorithm>
#include <cstdio>
#include <numeric>
#include <optional>

#include "absl/strings/str_cat.h"

#include "core/printable.h"
#include "core/status.h"
#include "core/text.h"
#include "training/data/dataset.h"
#include "training/data/split.h"
#include "training/parts.h"
#include "training/recipe.h"
#include "training/work_folder.h"

namespace orchard::training {
namespace {

namespace fs = std::filesystem;
namespace wire = orchard::v1;

/// Whether what a caller would send of the domain's pictures is the file that they lie in.
bool SentAsFiles(const v1::Domain& domain) {
  return !domain.has_gtsrb() || (!domain.gtsrb().has_roi_margin() && domain.gtsrb().side() == 0);
}

fs::path RecipeIn(const fs::path& model) { return model / "evaluation" / kRecipe; }

/// Which side each picture was on in training; nothing for one that training didn't have. By what
/// the model carries, or, for a model that carries no split, by its recipe's shares: the same
/// folder is then dealt to the same sides again.
absl::StatusOr<std::vector<std::optional<Side>>> SidesOf(const Dataset& dataset,
                                                         const fs::path& model) {
  std::vector<std::optional<Side>> sides;
  if (const fs::path file = model / "evaluation" / kSplit; fs::exists(file)) {
    ORCHARD_ASSIGN_OR_RETURN(const auto by_content, ReadSides(file));
    for (const Picture& picture : dataset.pictures) {
      const auto found = by_content.find(picture.content);
      sides.push_back(found == by_content.end() ? std::optional<Side>() : found->second);
    }
    return sides;
  }
  ORCHARD_ASSIGN_OR_RETURN(const v1::Recipe recipe, ReadRecipe(RecipeIn(model), {}));
  for (const Side side : Split(dataset, recipe.data())) sides.emplace_back(side);
  return sides;
}

void RemarkOnSeen(const std::vector<std::optional<Side>>& sides) {
  const auto seen = std::ranges::count(sides, std::optional<Side>(Side::kTrain));
  if (seen == 0) return;
  std::fprintf(stderr, "%zu of %zu pictures were trained on: the figures are too good\n",
               static_cast<size_t>(seen), sides.size());
}

absl::StatusOr<Side> SideOf(const std::string& split) {
  if (const std::optional<Side> side = SideNamed(split)) return *side;
  return absl::InvalidArgumentError(
      absl::StrCat("split \"", split, "\" is not one of train, validation, test, all"));
}

/// Which pictures of the dataset are asked.
absl::StatusOr<std::vector<size_t>> OfSplit(const Dataset& dataset, const fs::path& model,
                                            const std::string& split) {
  std::vector<size_t> asked(dataset.pictures.size());
  std::iota(asked.begin(), asked.end(), size_t{0});
  if (split == "all") {
    if (!fs::exists(model / "evaluation" / kSplit)) return asked;
    ORCHARD_ASSIGN_OR_RETURN(const auto sides, SidesOf(dataset, model));
    RemarkOnSeen(sides);
    return asked;
  }
  ORCHARD_ASSIGN_OR_RETURN(const Side wanted, SideOf(split));
  if (!fs::exists(RecipeIn(model))) {
    return absl::InvalidArgumentError(absl::StrCat(RecipeIn(model).string(),
                                                   " is not there, so nobody knows the split \"",
                                                   split, "\"; use all"));
  }
  ORCHARD_ASSIGN_OR_RETURN(const auto sides, SidesOf(dataset, model));
  std::erase_if(asked, [&](size_t i) { return sides[i] != wanted; });
  return asked;
}

/// What a split means for pictures that training never saw; said before the long part begins.
void RemarkOnSplit(const fs::path& data, const std::string& split, size_t asked, size_t left_out) {
  if (split == "all") return;
  std::fprintf(stderr,
               "--split %s: %zu of %zu pictures of %s, %zu are left out. The split divides the "
               "pictures that it finds as training did, so it means something for training's own "
               "folder alone; pictures that training never saw are measured with --split all\n",
               split.c_str(), asked, asked + left_out, data.c_str(), left_out);
}

void RemarkOnSkipped(const char* why, const std::vector<std::string>& skipped) {
  for (const std::string& what : skipped) {
    std::fprintf(stderr, "%s: %s\n", why, core::Printable(what).c_str());
  }
}

/// Pictures in folders that are called as the model's domains and classes.
absl::StatusOr<Questions> FromFolders(const fs::path& model, const wire::ModelManifest& manifest,
                                      const fs::path& data, const std::string& split,
                                      size_t threads) {
  ORCHARD_ASSIGN_OR_RETURN(const Dataset dataset,
                           ReadKnownDataset(data, DomainsOf(manifest), threads));
  RemarkOnSkipped("no picture, skipped", dataset.skipped);
  ORCHARD_ASSIGN_OR_RETURN(const std::vector<size_t> asked, OfSplit(dataset, model, split));
  Questions questions{.domains = dataset.domains};
  questions.left_out = dataset.pictures.size() - asked.size();
  for (const size_t i : asked) {
    const fs::path& file = dataset.pictures[i].path;
    questions.known.push_back({.name = file.string(), .file = file});
    questions.labels.push_back(dataset.pictures[i].label);
  }
  return questions;
}

/// Errors: INVALID_ARGUMENT with the first domain that is another.
absl::Status CheckSame(const std::vector<DomainClasses>& found,
                       const std::vector<DomainClasses>& wanted, const fs::path& data) {
  if (found.size() != wanted.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat(data.string(), ": the recipe in the model's evaluation/ names ", found.size(),
                     " domains, the model has ", wanted.size()));
  }
  for (size_t g = 0; g < found.size(); ++g) {
    if (found[g].name == wanted[g].name && found[g].classes == wanted[g].classes) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(data.string(), ": domain \"", found[g].name, "\" has ",
                     found[g].classes.size(), " classes that are not the ",
                     wanted[g].classes.size(), " of the model's \"", wanted[g].name, "\""));
  }
  return absl::OkStatus();
}

/// Pictures from the sources that the recipe names, on the sides that the model's split gives them,
/// otherwise those that the recipe deals.
absl::StatusOr<Questions> FromSources(const fs::path& model, const v1::Recipe& recipe,
                                      const wire::ModelManifest& manifest, const fs::path& data,
                                      const std::string& split, size_t threads) {
  Questions questions{.domains = DomainsOf(manifest)};
  ORCHARD_ASSIGN_OR_RETURN(questions.set, ReadPictureSet(data, recipe, threads));
  PictureSet& set = questions.set;
  if (const fs::path file = model / "evaluation" / kSplit; fs::exists(file)) {
    ORCHARD_ASSIGN_OR_RETURN(const auto by_content, ReadSides(file));
    for (size_t i = 0; i < set.size(); ++i) {
      const auto found = by_content.find(set.contents[i]);
      if (found != by_content.end()) set.sides[i] = found->second;
    }
  }
  RemarkOnSkipped("left out", set.skipped);
  ORCHARD_RETURN_IF_ERROR(CheckSame(set.domains, questions.domains, data));
  std::optional<Side> wanted;
  if (split == "all") {
    RemarkOnSeen({set.sides.begin(), set.sides.end()});
  } else {
    ORCHARD_ASSIGN_OR_RETURN(wanted, SideOf(split));
  }
  for (size_t i = 0; i < set.size(); ++i) {
    if (wanted && set.sides[i] != *wanted) {
      ++questions.left_out;
      continue;
    }
    questions.known.push_back(QuestionOf(set, i, recipe, data));
    questions.labels.push_back(set.labels[i]);
  }
  return questions;
}

/// Whether pictures lie in folders that are called as the model's domains.
bool HasFolders(const fs::path& data, const wire::ModelManifest& manifest) {
  return std::ranges::any_of(manifest.experts(), [&](const wire::ExpertPart& expert) {
    return fs::is_directory(data / expert.domain());
  });
}

}  // namespace

std::vector<Question> QuestionsOf(const std::vector<fs::path>& files) {
  std::vector<Question> questions;
  for (const fs::path& file : files) questions.push_back({.name = file.string(), .file = file});
  return questions;
}

Question QuestionOf(const PictureSet& set, size_t picture, const v1::Recipe& recipe,
                    const fs::path& data) {
  Question question{.name = set.names[picture], .image = &set.pictures[picture]};
  const fs::path file = data / set.names[picture];
  const v1::Domain& domain = recipe.domains(static_cast<int>(set.labels[picture].domain));
  std::error_code error;
  if (SentAsFiles(domain) && fs::is_regular_file(file, error)) question.file = file;
  return question;
}

absl::StatusOr<std::string> BytesOf(const Question& question) {
  if (!question.file.empty()) return core::ReadFile(question.file);
  const vision::Image& image = *question.image;
  std::string bytes = absl::StrCat("P6\n", image.width, " ", image.height, "\n255\n");
  bytes.append(image.rgb.begin(), image.rgb.end());
  return bytes;
}

absl::StatusOr<Questions> ReadQuestions(const fs::path& model, const wire::ModelManifest& manifest,
                                        const fs::path& data, const std::string& split,
                                        size_t threads) {
  Questions questions;
  v1::Recipe recipe;
  if (fs::exists(RecipeIn(model))) {
    ORCHARD_ASSIGN_OR_RETURN(recipe, ReadRecipe(RecipeIn(model), {}));
  }
  const bool has_sources = std::ranges::any_of(recipe.domains(), &HasTestSide);
  if (has_sources && !(split == "all" && HasFolders(data, manifest))) {
    ORCHARD_ASSIGN_OR_RETURN(questions, FromSources(model, recipe, manifest, data, split, threads));
  } else {
    ORCHARD_ASSIGN_OR_RETURN(questions, FromFolders(model, manifest, data, split, threads));
  }
  if (fs::exists(data / kUnknownFolder)) {
    ORCHARD_ASSIGN_OR_RETURN(const std::vector<fs::path> files,
                             ListPictures(data / kUnknownFolder));
    questions.unknown = QuestionsOf(files);
  }
  if (questions.known.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(data.string(), ": none of ", questions.left_out, " pictures is of split ",
                     split, split == "all" ? "" : "; --split all takes them all"));
  }
  RemarkOnSplit(data, split, questions.known.size(), questions.left_out);
  return questions;
}

}  // namespace orchard::training
