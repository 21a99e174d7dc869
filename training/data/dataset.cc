#include "training/data/dataset.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <map>
#include <span>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

#include "core/digest.h"
#include "core/passed_over.h"
#include "core/status.h"
#include "core/text.h"
#include "training/data/groups.h"
#include "training/data/parallel.h"
#include "training/data/picture_store.h"
#include "training/data/table.h"

namespace orchard::training {
namespace {

namespace fs = std::filesystem;

absl::StatusOr<std::vector<std::string>> ClassFolders(const fs::path& folder) {
  ORCHARD_ASSIGN_OR_RETURN(std::vector<std::string> classes, ListFolders(folder));
  if (classes.size() >= 2) return classes;
  return absl::InvalidArgumentError(absl::StrCat(folder.string(), " holds ", classes.size(),
                                                 " class folders, a domain needs at least 2"));
}

/// The folders of `data` that no domain or class of `domains` is named after.
absl::StatusOr<std::vector<std::string>> StrangeFolders(const fs::path& data,
                                                        const std::vector<DomainClasses>& domains) {
  std::vector<std::string> strange;
  ORCHARD_ASSIGN_OR_RETURN(const std::vector<std::string> found, ListFolders(data));
  for (const std::string& name : found) {
    if (name == kUnknownFolder) continue;
    const auto domain = std::ranges::find(domains, name, &DomainClasses::name);
    if (domain == domains.end()) {
      strange.push_back(name);
      continue;
    }
    ORCHARD_ASSIGN_OR_RETURN(const std::vector<std::string> classes, ListFolders(data / name));
    for (const std::string& label : classes) {
      if (std::ranges::find(domain->classes, label) != domain->classes.end()) continue;
      strange.push_back(absl::StrCat(name, "/", label));
    }
  }
  return strange;
}

/// "<class>/<id>" → group, from a list with the columns class, id and group.
absl::StatusOr<std::map<std::string, std::string>> ReadGroupList(const fs::path& file) {
  ORCHARD_ASSIGN_OR_RETURN(const Table table, ReadTable(file, '\t', {"class", "id", "group"}));
  std::map<std::string, std::string> groups;
  for (const Table::Row& row : table.rows) {
    if (row.cells.size() < table.columns.size()) {
      return absl::InvalidArgumentError(absl::StrCat(LineOf(file, row), ": has ", row.cells.size(),
                                                     " cells, the head line ",
                                                     table.columns.size()));
    }
    const auto cell = [&](const char* name) { return row.cells[table.columns.at(name)]; };
    groups[absl::StrCat(cell("class"), "/", cell("id"))] = cell("group");
  }
  return groups;
}

/// Groups are named "<domain>:<group>", so that equal names of two domains stay apart.
absl::Status GroupByList(const fs::path& file, const DomainClasses& domain,
                         std::span<Picture> pictures) {
  ORCHARD_ASSIGN_OR_RETURN(const auto groups, ReadGroupList(file));
  for (Picture& picture : pictures) {
    const std::string key =
        absl::StrCat(domain.classes[picture.label.label], "/", picture.path.stem().string());
    const auto found = groups.find(key);
    if (found == groups.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat(file.string(), " has no line for ", key, ", which is in the folder"));
    }
    picture.group = absl::StrCat(domain.name, ":", found->second);
  }
  return absl::OkStatus();
}

/// The files of a domain, in the order of class and name.
absl::StatusOr<std::vector<Picture>> ListFiles(const fs::path& data, size_t index,
                                               const DomainClasses& domain) {
  std::vector<Picture> pictures;
  for (size_t label = 0; label < domain.classes.size(); ++label) {
    const fs::path folder = data / domain.name / domain.classes[label];
    if (!fs::exists(folder)) continue;  // A known class of which there is no picture.
    ORCHARD_ASSIGN_OR_RETURN(const std::vector<fs::path> files, ListPictures(folder));
    for (const fs::path& file : files) {
      pictures.push_back(
          {.path = file, .label = {.domain = index, .label = label}, .content = {}, .group = {}});
    }
  }
  return pictures;
}

/// What one file turned out to be.
struct Read {
  absl::Status status;
  vision::Image image;
  Look look;
};

/// Fills in `content` and decodes; what is no picture is told by its status.
absl::StatusOr<std::vector<Read>> ReadAll(std::span<Picture> pictures, bool looks, bool keep_images,
                                          size_t threads) {
  std::vector<Read> read(pictures.size());
  ORCHARD_RETURN_IF_ERROR(ForEach(pictures.size(), threads, [&](size_t i) -> absl::Status {
    ORCHARD_ASSIGN_OR_RETURN(const std::string bytes, core::ReadFile(pictures[i].path));
    pictures[i].content = core::Sha256Hex(bytes);
    auto image = DecodeToKeep(bytes);
    read[i].status = image.status();
    if (!image.ok()) return absl::OkStatus();
    if (looks) read[i].look = LookOf(*image);
    if (keep_images) read[i].image = *std::move(image);
    return absl::OkStatus();
  }));
  return read;
}

/// Fills in the pictures of the dataset's domains.
absl::Status ReadPictures(const fs::path& data, size_t threads, Dataset& dataset) {
  for (size_t g = 0; g < dataset.domains.size(); ++g) {
    ORCHARD_ASSIGN_OR_RETURN(FolderPictures read, ReadFolders(data, g, dataset.domains[g],
                                                              /*keep_images=*/false, threads));
    std::ranges::move(read.pictures, std::back_inserter(dataset.pictures));
    std::ranges::move(read.skipped, std::back_inserter(dataset.skipped));
  }
  dataset.dropped = DropContradictions(dataset.domains, dataset.pictures);
  return absl::OkStatus();
}

/// "leaf (broad, narrow), plain (blue, red)".
std::string KnownNames(const std::vector<DomainClasses>& domains) {
  std::vector<std::string> names;
  for (const DomainClasses& domain : domains) {
    names.push_back(absl::StrCat(domain.name, " (", absl::StrJoin(domain.classes, ", "), ")"));
  }
  return absl::StrJoin(names, ", ");
}

}  // namespace

bool IsPicture(const fs::path& path) {
  constexpr std::array<std::string_view, 5> kExtensions = {".jpg", ".jpeg", ".png", ".webp",
                                                           ".ppm"};
  const std::string extension = absl::AsciiStrToLower(path.extension().string());
  return std::ranges::find(kExtensions, extension) != kExtensions.end();
}

absl::StatusOr<std::vector<std::string>> ListFolders(const fs::path& folder) {
  std::error_code error;
  std::vector<std::string> names;
  for (fs::directory_iterator it(folder, error); !error && it != fs::directory_iterator();
       it.increment(error)) {
    std::error_code ignored;
    const bool is_folder = it->is_directory(ignored) && !core::IsPassedOver(it->path());
    if (is_folder) names.push_back(it->path().filename());
  }
  if (error) {
    return absl::NotFoundError(
        absl::StrCat(folder.string(), ": ", error.message(), "; a domain is a folder of classes"));
  }
  std::ranges::sort(names);
  return names;
}

absl::StatusOr<DomainClasses> ReadClasses(const fs::path& data, const v1::Domain& domain) {
  ORCHARD_ASSIGN_OR_RETURN(std::vector<std::string> classes, ClassFolders(data / domain.name()));
  return DomainClasses{
      .name = domain.name(), .branch = domain.branch(), .classes = std::move(classes)};
}

absl::StatusOr<FolderPictures> ReadFolders(const fs::path& data, size_t index,
                                           const DomainClasses& domain, bool keep_images,
                                           size_t threads) {
  ORCHARD_ASSIGN_OR_RETURN(std::vector<Picture> files, ListFiles(data, index, domain));
  const fs::path list = data / (domain.name + ".tsv");
  const bool listed = fs::exists(list);
  ORCHARD_ASSIGN_OR_RETURN(std::vector<Read> all,
                           ReadAll(files, /*looks=*/!listed, keep_images, threads));
  FolderPictures read;
  std::vector<Look> looks;
  for (size_t i = 0; i < files.size(); ++i) {
    if (!all[i].status.ok()) {
      read.skipped.push_back(absl::StrCat(files[i].path.string(), ": ", all[i].status.message()));
      continue;
    }
    read.pictures.push_back(std::move(files[i]));
    looks.push_back(std::move(all[i].look));
    if (keep_images) read.images.push_back(std::move(all[i].image));
  }
  if (listed) {
    ORCHARD_RETURN_IF_ERROR(GroupByList(list, domain, read.pictures));
  } else {
    GroupByLook(domain.name, looks, read.pictures);
  }
  return read;
}

absl::StatusOr<Dataset> ReadDataset(const fs::path& data, const v1::Recipe& recipe,
                                    size_t threads) {
  Dataset dataset;
  for (const v1::Domain& domain : recipe.domains()) {
    ORCHARD_ASSIGN_OR_RETURN(DomainClasses classes, ReadClasses(data, domain));
    dataset.domains.push_back(std::move(classes));
  }
  ORCHARD_RETURN_IF_ERROR(ReadPictures(data, threads, dataset));
  return dataset;
}

absl::StatusOr<Dataset> ReadKnownDataset(const fs::path& data,
                                         const std::vector<DomainClasses>& domains,
                                         size_t threads) {
  ORCHARD_ASSIGN_OR_RETURN(const std::vector<std::string> strange, StrangeFolders(data, domains));
  if (!strange.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(data.string(), " holds folders that are no domain or class of the model: ",
                     absl::StrJoin(strange, ", "), "; it knows ", KnownNames(domains)));
  }
  Dataset dataset{.domains = domains, .pictures = {}, .dropped = {}};
  ORCHARD_RETURN_IF_ERROR(ReadPictures(data, threads, dataset));
  return dataset;
}

absl::StatusOr<std::vector<fs::path>> ListPictures(const fs::path& folder) {
  std::error_code error;
  std::vector<fs::path> files;
  for (fs::recursive_directory_iterator it(folder, error);
       !error && it != fs::recursive_directory_iterator(); it.increment(error)) {
    std::error_code ignored;
    if (core::IsPassedOver(it->path())) {
      it.disable_recursion_pending();
    } else if (it->is_regular_file(ignored) && IsPicture(it->path())) {
      files.push_back(it->path());
    }
  }
  if (error) return absl::NotFoundError(absl::StrCat(folder.string(), ": ", error.message()));
  std::ranges::sort(files);
  return files;
}

size_t TotalClasses(const std::vector<DomainClasses>& domains) {
  size_t total = 0;
  for (const DomainClasses& domain : domains) total += domain.classes.size();
  return total;
}

size_t FlatIndex(const std::vector<DomainClasses>& domains, const Label& label) {
  size_t before = 0;
  for (size_t g = 0; g < label.domain; ++g) before += domains[g].classes.size();
  return before + label.label;
}

}  // namespace orchard::training
