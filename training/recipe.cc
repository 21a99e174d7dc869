#include "training/recipe.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/text_format.h>

#include "core/status.h"
#include "core/text.h"
#include "training/data/dataset.h"
#include "training/data/statements.h"
#include "training/import.h"
#include "training/recipe_checks.h"
#include "training/study.h"

namespace orchard::training {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

/// Keeps the first fault of a text proto; without it protobuf writes to stderr itself.
class FirstFault final : public google::protobuf::io::ErrorCollector {
 public:
  void AddError(int line, int column, const std::string& message) override {
    if (text_.empty()) {
      text_ = absl::StrCat("; line ", line + 1, ", column ", column + 1, ": ", message);
    }
  }
  /// "; line 2, column 6: …", or empty.
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

/// Where a field lives: the messages on the way, then the field.
using FieldPath = std::vector<const FieldDescriptor*>;

/// All paths to fields called `name` through single sub-messages of `type`; of the recipe's studies
/// only through `study`, the one that it names (may be null).
void FindField(const Descriptor& type, const std::string& name, const FieldDescriptor* study,
               FieldPath& prefix, std::vector<FieldPath>& found) {
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor* field = type.field(i);
    const bool is_study = prefix.empty() && field->real_containing_oneof() != nullptr;
    if (is_study && field != study) continue;
    prefix.push_back(field);
    if (field->name() == name) found.push_back(prefix);
    if (field->message_type() != nullptr && !field->is_repeated()) {
      FindField(*field->message_type(), name, study, prefix, found);
    }
    prefix.pop_back();
  }
}

absl::StatusOr<FieldPath> Resolve(const v1::Recipe& recipe, const std::string& path) {
  const std::vector<std::string> names = absl::StrSplit(path, '.');
  const Descriptor& fields = *v1::Recipe::descriptor();
  FieldPath resolved;
  if (names.size() == 1) {
    if (const FieldDescriptor* own = fields.FindFieldByName(path)) return FieldPath{own};
    const FieldDescriptor* study =
        recipe.GetReflection()->GetOneofFieldDescriptor(recipe, fields.FindOneofByName("study"));
    std::vector<FieldPath> found;
    FindField(fields, path, study, resolved, found);
    if (found.size() == 1) return found.front();
    return absl::InvalidArgumentError(
        absl::StrCat("\"", path, "\" names ", found.size(),
                     " fields of a recipe; give one as message.field, for example "
                     "optimisation.epochs (proto/orchard/training/v1/recipe.proto)"));
  }
  const Descriptor* type = &fields;
  for (const std::string& name : names) {
    const FieldDescriptor* field = type == nullptr ? nullptr : type->FindFieldByName(name);
    if (field == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat(
          "a recipe has no field \"", path, "\" (proto/orchard/training/v1/recipe.proto)"));
    }
    resolved.push_back(field);
    type = field->message_type();
  }
  return resolved;
}

void CheckDomains(const v1::Recipe& recipe, std::vector<std::string>& faults) {
  if (recipe.domains().empty()) faults.emplace_back("domains: there must be at least one");
  std::set<std::string> names;
  for (const v1::Domain& domain : recipe.domains()) {
    CheckName(domain.name(), "domain", faults);
    CheckName(domain.branch(), absl::StrCat("domain \"", domain.name(), "\": branch"), faults);
    if (domain.name() == kUnknownFolder) {
      faults.push_back(
          absl::StrCat("domain \"", kUnknownFolder,
                       "\" is the folder of pictures of no domain; choose another name"));
    }
    if (!names.insert(domain.name()).second) {
      faults.push_back(absl::StrCat("domain \"", domain.name(), "\" is there twice"));
    }
  }
}

void CheckConcepts(const v1::Recipe& recipe, std::vector<std::string>& faults) {
  std::set<std::string> seen;
  for (const v1::Concept& shared : recipe.concepts()) {
    if (shared.label().empty()) faults.emplace_back("concepts.label is empty");
    for (const std::string& member : shared.classes()) {
      const std::string domain = member.substr(0, member.find('/'));
      const bool known = std::ranges::any_of(
          recipe.domains(), [&](const v1::Domain& d) { return d.name() == domain; });
      if (!known || domain.size() + 1 >= member.size()) {
        faults.push_back(absl::StrCat("concept \"", shared.label(), "\": \"", member,
                                      "\" must be <domain>/<class> of a domain of the recipe"));
      } else if (!seen.insert(member).second) {
        faults.push_back(absl::StrCat("concepts: ", member, " is there twice"));
      }
    }
  }
}

void CheckPreprocessing(const v1::Recipe& recipe, std::vector<std::string>& faults) {
  if (!recipe.has_preprocessing()) return;
  const orchard::v1::Preprocessing& p = recipe.preprocessing();
  if (recipe.framing() != orchard::v1::Framing() && recipe.framing() != p.framing()) {
    faults.emplace_back("framing: with preprocessing it stands in preprocessing.framing");
  }
  if (p.crop() == 0) faults.emplace_back("preprocessing.crop is 0, must be at least 1");
  const bool whole = p.framing() == orchard::v1::WHOLE_PICTURE;
  if (whole ? p.shorter_side() != p.crop() : p.shorter_side() < p.crop()) {
    faults.push_back(absl::StrCat("preprocessing.shorter_side is ", p.shorter_side(), ", must be ",
                                  whole ? "" : "at least ", "crop ", p.crop()));
  }
  if (p.mean_size() != 3 || p.std_size() != 3) {
    faults.push_back(absl::StrCat("preprocessing has ", p.mean_size(), " mean and ", p.std_size(),
                                  " std, must be 3 of each: red, green, blue"));
  }
  for (const float mean : p.mean()) CheckShare(mean, "preprocessing.mean", faults);
  for (const float deviation : p.std()) {
    if (!(deviation > 0.0F && deviation <= 1.0F)) {
      faults.push_back(absl::StrCat("preprocessing.std is ", deviation, ", must be in (0, 1]"));
    }
  }
}

void CheckOptimisation(const v1::Optimisation& o, std::vector<std::string>& faults) {
  if (o.batch() == 0) faults.emplace_back("optimisation.batch is 0, must be at least 1");
  CheckNotNegative(o.encoder_rate(), "optimisation.encoder_rate", faults);
  CheckNotNegative(o.head_rate(), "optimisation.head_rate", faults);
  CheckNotNegative(o.weight_decay(), "optimisation.weight_decay", faults);
  CheckNotNegative(o.warmup_epochs(), "optimisation.warmup_epochs", faults);
  CheckShare(o.final_factor(), "optimisation.final_factor", faults);
  CheckPart(o.average_decay(), "optimisation.average_decay", faults);
  CheckNotNegative(o.gradient_norm(), "optimisation.gradient_norm", faults);
  if (!v1::Arithmetic_IsValid(o.arithmetic())) {
    faults.push_back(absl::StrCat("optimisation.arithmetic is ", static_cast<int>(o.arithmetic()),
                                  ", must be FP32, BF16_ON_GPU or BF16"));
  }
  for (const std::uint32_t side : o.sides()) {
    if (side == 0 || side % 32 != 0) {
      faults.push_back(absl::StrCat("optimisation.sides has ", side, ", must be a multiple of 32"));
    }
  }
}

}  // namespace

absl::Status ApplyOverride(v1::Recipe& recipe, const std::string& assignment) {
  const size_t equals = assignment.find('=');
  if (equals == std::string::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat("override \"", assignment, "\" is not of the form field=value"));
  }
  const std::string value = assignment.substr(equals + 1);
  ORCHARD_ASSIGN_OR_RETURN(const FieldPath path, Resolve(recipe, assignment.substr(0, equals)));
  Message* owner = &recipe;
  for (size_t i = 0; i + 1 < path.size(); ++i) {
    if (path[i]->is_repeated()) {
      return absl::InvalidArgumentError(absl::StrCat("override \"", assignment,
                                                     "\": ", path[i]->name(),
                                                     " is a list, change it in the recipe's file"));
    }
    owner = owner->GetReflection()->MutableMessage(owner, path[i]);
  }
  const FieldDescriptor& field = *path.back();
  const bool list = field.is_repeated();
  const bool quoted = field.type() == FieldDescriptor::TYPE_STRING;
  const std::string text = absl::StrCat(field.name(), ": ", list ? "[" : "", quoted ? "\"" : "",
                                        value, quoted ? "\"" : "", list ? "]" : "");
  owner->GetReflection()->ClearField(owner, &field);
  FirstFault fault;  // Ours says more; protobuf is to say nothing.
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&fault);
  if (field.message_type() == nullptr && parser.MergeFromString(text, owner)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat("override \"", assignment, "\": \"", value,
                                                 "\" is no ", field.type_name(), " for ",
                                                 field.full_name()));
}

absl::StatusOr<v1::Recipe> ReadRecipe(const std::filesystem::path& path,
                                      const std::vector<std::string>& overrides) {
  ORCHARD_ASSIGN_OR_RETURN(const std::string text, core::ReadFile(path));
  v1::Recipe recipe;
  FirstFault fault;
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&fault);
  if (!parser.ParseFromString(text, &recipe)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path.string(), ": no text proto of orchard.training.v1.Recipe", fault.text()));
  }
  for (const std::string& assignment : overrides) {
    ORCHARD_RETURN_IF_ERROR(ApplyOverride(recipe, assignment));
  }
  const std::vector<std::string> faults = Faults(recipe);
  if (faults.empty()) return recipe;
  return absl::InvalidArgumentError(absl::StrCat(path.string(), ": ", absl::StrJoin(faults, "; ")));
}

std::vector<std::string> Faults(const v1::Recipe& recipe) {
  std::vector<std::string> faults;
  CheckDomains(recipe, faults);
  if (!orchard::v1::Framing_IsValid(recipe.framing())) {
    faults.push_back(absl::StrCat("framing is ", static_cast<int>(recipe.framing()),
                                  ", must be CENTRE_CROP or WHOLE_PICTURE"));
  }
  CheckPreprocessing(recipe, faults);
  CheckOptimisation(recipe.optimisation(), faults);
  for (std::string& fault : DataFaults(recipe)) faults.push_back(std::move(fault));
  CheckConcepts(recipe, faults);
  const auto study = StudyOf(recipe);
  if (!study.ok()) {
    faults.emplace_back(study.status().message());
  } else {
    for (std::string& fault : (*study)->faults(recipe)) faults.push_back(std::move(fault));
  }
  return faults;
}

std::vector<std::string> Branches(const v1::Recipe& recipe) {
  std::vector<std::string> branches;
  for (const v1::Domain& domain : recipe.domains()) {
    if (std::ranges::find(branches, domain.branch()) == branches.end()) {
      branches.push_back(domain.branch());
    }
  }
  return branches;
}

orchard::v1::Preprocessing PreprocessingOf(const v1::Recipe& recipe) {
  if (recipe.has_preprocessing()) return recipe.preprocessing();
  orchard::v1::Preprocessing preprocessing = ImageNetPreprocessing();
  preprocessing.set_framing(recipe.framing());
  if (recipe.framing() == orchard::v1::WHOLE_PICTURE) {
    preprocessing.set_shorter_side(preprocessing.crop());
  }
  return preprocessing;
}

v1::Augmentation AugmentationOf(const v1::Recipe& recipe, const v1::Domain& domain) {
  v1::Augmentation augmentation = recipe.augmentation();
  augmentation.MergeFrom(domain.augmentation());
  return augmentation;
}

}  // namespace orchard::training
