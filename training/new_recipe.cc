#include "training/new_recipe.h"

#include <algorithm>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

#include "core/status.h"
#include "training/data/dataset.h"
#include "training/recipe_checks.h"

namespace orchard::training {
namespace {

namespace fs = std::filesystem;

/// A class with less is drawn from by chance: its figures will mean little.
constexpr size_t kFewPictures = 20;

/// A domain's folder as it was found.
struct Found {
  std::string name;
  size_t classes = 0;
  size_t pictures = 0;
  std::vector<std::string> few = {};  ///< "<class> (<pictures>)"
};

size_t PicturesIn(const fs::path& folder) {
  const auto files = ListPictures(folder);
  return files.ok() ? files->size() : 0;
}

Found LookAt(const fs::path& folder, std::vector<std::string>& faults) {
  Found found{.name = folder.filename()};
  if (!IsName(found.name)) {
    faults.push_back(absl::StrCat("folder \"", found.name,
                                  "\" can't be a domain's name (letters, digits, _ and -): rename "
                                  "it; names of classes are free"));
  }
  const auto classes = ListFolders(folder);
  if (!classes.ok()) {
    faults.emplace_back(classes.status().message());
    return found;
  }
  if (classes->size() < 2) {
    const size_t loose = PicturesIn(folder);
    faults.push_back(absl::StrCat(
        folder.string(), " holds ", classes->size(), " class folders, a domain needs at least 2",
        loose == 0 ? ""
                   : absl::StrCat("; it holds ", loose,
                                  " pictures: if it is a class itself, put it and its like into "
                                  "one folder, which is then the domain")));
    return found;
  }
  found.classes = classes->size();
  for (const std::string& label : *classes) {
    const size_t count = PicturesIn(folder / label);
    if (count == 0) {
      faults.push_back(absl::StrCat((folder / label).string(),
                                    " holds no pictures (.jpg, .jpeg, .png, .webp, .ppm)"));
    } else if (count < kFewPictures) {
      found.few.push_back(absl::StrCat(absl::Utf8SafeCEscape(label), " (", count, ")"));
    }
    found.pictures += count;
  }
  return found;
}

std::string DomainText(const Found& domain) {
  std::string text =
      absl::StrFormat("# %d classes, %d pictures.\n", domain.classes, domain.pictures);
  if (!domain.few.empty()) {
    absl::StrAppend(&text, "# Few pictures, so that their figures will mean little: ",
                    absl::StrJoin(domain.few, ", "), ".\n");
  }
  absl::StrAppend(&text, "domains {\n  name: \"", domain.name,
                  "\"\n  branch: \"all\"\n  expert { mlp { hidden: 256 } }\n}\n");
  return text;
}

constexpr const char* kHead = R"(# proto-file: orchard/training/v1/recipe.proto
# proto-message: orchard.training.v1.Recipe
#
# Written by orchard-train new: heads on the frozen encoder, in minutes on a CPU. docs/own-pictures.md
# walks through it. To train the encoder too (hours on a CPU; better where pictures are many):
#   orchard-train fit … --set epochs=10 --set encoder_rate=2e-4 --set linear_heads=true
)";

constexpr const char* kRest = R"(
# Near-duplicates stay together. Validation pictures fit temperatures and thresholds; test pictures
# are only measured. HASHED: pictures that you add later leave the others on their side.
data { validation_share: 0.15 test_share: 0.15 dealing: HASHED class_power: 0.5 domain_power: 0.5 }

# Of the encoder and what comes with it; 0 epochs: it stays as it is.
optimisation {
  epochs: 0
  batch: 32
  head_rate: 2e-3
  weight_decay: 0.05
  warmup_epochs: 1
  final_factor: 0.01
  average_decay: 0.99
  gradient_norm: 5
  sides: [160, 192]
}

# Of pictures while the encoder learns. Without flips where left and right mean something.
augmentation { min_area: 0.5 min_aspect: 0.75 horizontal_flip: 0.5 brightness: 0.2 contrast: 0.2 saturation: 0.2 }

# Gates and experts learn on features that the encoder gives once.
masked_moe {
  gate { linear {} }
  losses { branch: 1 domain: 1 expert: 1 label_smoothing: 0.05 }
  head_dropout: 0.2
  refit_epochs: 40
}
)";

}  // namespace

absl::StatusOr<std::string> NewRecipe(const fs::path& data, const std::string& name) {
  ORCHARD_ASSIGN_OR_RETURN(const std::vector<std::string> folders, ListFolders(data));
  std::vector<std::string> faults;
  std::vector<Found> domains;
  for (const std::string& folder : folders) {
    if (folder != kUnknownFolder) domains.push_back(LookAt(data / folder, faults));
  }
  CheckName(name, "--name", faults);
  if (domains.empty()) {
    faults.push_back(absl::StrCat(data.string(), " holds no folders; <domain>/<class>/ is wanted"));
  }
  if (!faults.empty()) return absl::InvalidArgumentError(absl::StrJoin(faults, "; "));
  std::string text =
      absl::StrCat(kHead, "name: \"", name, "\"\nseed: 1\nframing: WHOLE_PICTURE\n\n");
  for (const Found& domain : domains) absl::StrAppend(&text, DomainText(domain));
  return absl::StrCat(text, kRest);
}

}  // namespace orchard::training
