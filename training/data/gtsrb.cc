#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

#include "core/digest.h"
#include "core/status.h"
#include "core/text.h"
#include "training/data/parallel.h"
#include "training/data/picture_store.h"
#include "training/data/source.h"
#include "training/data/table.h"
#include "vision/decode.h"
#include "vision/preprocess.h"

namespace orchard::training {
namespace {

namespace fs = std::filesystem;

constexpr size_t kDigits = 5;  ///< of a class's folder and of a track

/// Tracks of one class that show one sign: their frames are nearly equal.
const std::array<std::string, 2> kSameSign = {"00009/00039", "00009/00040"};

/// A row of a list: a picture, its label, and where on it the sign is.
struct Entry {
  fs::path path;
  size_t width = 0;  ///< pixels, as the list says
  size_t height = 0;
  std::array<size_t, 4> roi{};  ///< left, top, right, bottom, inclusive
  size_t class_id = 0;
  std::string track;  ///< "00014/00023"; empty in the test set
};

/// Reads lists; wrong rows are gathered, so that all are told at once.
class Lists {
 public:
  /// The rows of `list`, whose pictures are in `folder`. Of training, where `class_id` is given,
  /// every row must have that class, and a track.
  absl::StatusOr<std::vector<Entry>> Read(const fs::path& list, const fs::path& folder,
                                          std::optional<size_t> class_id) {
    ORCHARD_ASSIGN_OR_RETURN(const Table table,
                             ReadTable(list, ';', {kNames.begin(), kNames.end()}));
    std::vector<Entry> entries;
    for (const Table::Row& row : table.rows) {
      const std::string place = LineOf(list, row);
      if (row.cells.size() != table.columns.size()) {
        faults_.push_back(absl::StrCat(place, ": has ", row.cells.size(), " cells, the head line ",
                                       table.columns.size()));
        continue;
      }
      ReadRow(table, row, place, folder, class_id, entries);
    }
    return entries;
  }

  void AddFault(std::string fault) { faults_.push_back(std::move(fault)); }

  /// What was wrong with all that was read.
  absl::Status Faults() const {
    constexpr size_t kNamed = 10;
    if (faults_.empty()) return absl::OkStatus();
    const auto end =
        faults_.begin() + static_cast<std::ptrdiff_t>(std::min(kNamed, faults_.size()));
    return absl::InvalidArgumentError(
        absl::StrCat(absl::StrJoin(faults_.begin(), end, "; "),
                     faults_.size() > kNamed ? absl::StrCat("; … (", faults_.size(), ")") : ""));
  }

 private:
  static constexpr std::array<const char*, 8> kNames = {"Filename", "Width",  "Height", "Roi.X1",
                                                        "Roi.Y1",   "Roi.X2", "Roi.Y2", "ClassId"};

  void ReadRow(const Table& table, const Table::Row& row, const std::string& place,
               const fs::path& folder, std::optional<size_t> class_id,
               std::vector<Entry>& entries) {
    const size_t before = faults_.size();
    const auto number = [&](const char* name) -> size_t {
      constexpr size_t kMost = 100'000;
      const std::string& cell = row.cells[table.columns.at(name)];
      size_t value = 0;
      if (absl::SimpleAtoi(cell, &value) && value <= kMost) return value;
      faults_.push_back(
          absl::StrCat(place, ": ", name, " is \"", cell, "\", must be a number up to ", kMost));
      return 0;
    };
    const std::string& name = row.cells[table.columns.at("Filename")];
    Entry entry{.path = folder / name,
                .width = number("Width"),
                .height = number("Height"),
                .roi = {number("Roi.X1"), number("Roi.Y1"), number("Roi.X2"), number("Roi.Y2")},
                .class_id = number("ClassId"),
                .track = {}};
    if (faults_.size() > before) return;
    const auto& [left, top, right, bottom] = entry.roi;
    if (name.empty() || name.find('/') != std::string::npos) {
      faults_.push_back(absl::StrCat(place, ": Filename \"", name, "\" is no file's name"));
    } else if (left > right || top > bottom || right >= entry.width || bottom >= entry.height) {
      faults_.push_back(absl::StrFormat("%s: ROI (%u, %u) to (%u, %u) is no part of %u x %u pixels",
                                        place, left, top, right, bottom, entry.width,
                                        entry.height));
    } else if (class_id && entry.class_id != *class_id) {
      faults_.push_back(absl::StrFormat("%s: ClassId is %u in the folder of class %u", place,
                                        entry.class_id, *class_id));
    } else if (class_id && name.find('_') != kDigits) {
      faults_.push_back(absl::StrCat(place, ": Filename \"", name,
                                     "\" has no track, must be TTTTT_FFFFF and an ending"));
    } else {
      if (class_id) {
        entry.track = absl::StrFormat("%05u/%s", *class_id, name.substr(0, kDigits));
      }
      entries.push_back(std::move(entry));
    }
  }

  std::vector<std::string> faults_;
};

/// The classes' numbers, from the folders' names, ascending.
absl::StatusOr<std::vector<size_t>> ClassFolders(const fs::path& training) {
  std::error_code error;
  std::vector<size_t> ids;
  for (const auto& entry : fs::directory_iterator(training, error)) {
    const std::string name = entry.path().filename();
    size_t id = 0;
    const bool digits = name.find_first_not_of("0123456789") == std::string::npos;
    if (entry.is_directory() && digits && name.size() == kDigits && absl::SimpleAtoi(name, &id)) {
      ids.push_back(id);
    }
  }
  if (error) return absl::NotFoundError(absl::StrCat(training.string(), ": ", error.message()));
  if (ids.size() < 2) {
    return absl::InvalidArgumentError(absl::StrCat(training.string(), " holds ", ids.size(),
                                                   " folders of classes (00000, 00001, …), a "
                                                   "domain needs at least 2"));
  }
  std::ranges::sort(ids);
  return ids;
}

/// What the classes are called.
absl::StatusOr<std::vector<std::string>> ClassNames(const fs::path& folder,
                                                    const std::vector<size_t>& ids) {
  std::map<size_t, std::string> name_of;
  const fs::path file = folder / "classes.tsv";
  if (fs::exists(file)) {
    ORCHARD_ASSIGN_OR_RETURN(const Table table, ReadTable(file, '\t', {"class", "name"}));
    for (const Table::Row& row : table.rows) {
      size_t id = 0;
      if (row.cells.size() != table.columns.size() ||
          !absl::SimpleAtoi(row.cells[table.columns.at("class")], &id)) {
        return absl::InvalidArgumentError(
            absl::StrCat(LineOf(file, row), ": must be the number of a class and its name"));
      }
      name_of[id] = row.cells[table.columns.at("name")];
    }
  }
  std::vector<std::string> names;
  std::set<std::string> seen;
  for (const size_t id : ids) {
    const auto found = name_of.find(id);
    if (!name_of.empty() && (found == name_of.end() || found->second.empty())) {
      return absl::InvalidArgumentError(absl::StrCat(file.string(), " has no name for class ", id));
    }
    names.push_back(name_of.empty() ? absl::StrFormat("%05u", id) : found->second);
    if (!seen.insert(names.back()).second) {
      return absl::InvalidArgumentError(
          absl::StrCat(file.string(), ": \"", names.back(), "\" is the name of two classes"));
    }
  }
  return names;
}

/// Takes the excluded tracks out and says how many pictures that were.
std::vector<std::string> Exclude(const v1::Gtsrb& gtsrb, std::vector<Entry>& entries,
                                 Lists& lists) {
  std::vector<std::string> said;
  for (const std::string& track : gtsrb.exclude_tracks()) {
    const size_t gone =
        std::erase_if(entries, [&](const Entry& entry) { return entry.track == track; });
    if (gone == 0) {
      lists.AddFault(absl::StrCat("exclude_tracks: there is no track \"", track,
                                  "\"; one is called class/track, as 00014/00023"));
    }
    said.push_back(absl::StrCat("track ", track, ", as the recipe says: ", gone, " pictures"));
  }
  return said;
}

/// The sign with its margin, or the whole picture; squeezed if the recipe says so.
absl::StatusOr<vision::Image> Cut(vision::Image image, const Entry& entry, const v1::Gtsrb& gtsrb) {
  vision::Area area{.left = 0.0,
                    .top = 0.0,
                    .width = static_cast<double>(image.width),
                    .height = static_cast<double>(image.height)};
  if (gtsrb.has_roi_margin()) {
    if (image.width != entry.width || image.height != entry.height) {
      return absl::InvalidArgumentError(absl::StrFormat("is %u x %u pixels, the list says %u x %u",
                                                        image.width, image.height, entry.width,
                                                        entry.height));
    }
    const auto cut = [&](size_t from, size_t to, double size, double& start, double& extent) {
      const double margin = gtsrb.roi_margin() * static_cast<double>(to + 1 - from);
      start = std::max(static_cast<double>(from) - margin, 0.0);
      extent = std::min(static_cast<double>(to + 1) + margin, size) - start;
    };
    cut(entry.roi[0], entry.roi[2], area.width, area.left, area.width);
    cut(entry.roi[1], entry.roi[3], area.height, area.top, area.height);
  } else if (gtsrb.side() == 0 || (gtsrb.side() == image.width && gtsrb.side() == image.height)) {
    return image;
  }
  const auto length = [&](double extent) {
    return gtsrb.side() > 0 ? gtsrb.side()
                            : std::max<size_t>(1, static_cast<size_t>(std::lround(extent)));
  };
  return vision::CutOut(image, area, length(area.width), length(area.height));
}

/// What an entry's file turned out to be.
struct Read {
  absl::StatusOr<vision::Image> image = absl::UnknownError("not read");
  std::string content = {};
};

absl::StatusOr<std::vector<Read>> ReadAll(const std::vector<Entry>& entries, const v1::Gtsrb& gtsrb,
                                          size_t threads) {
  std::vector<Read> read(entries.size());
  ORCHARD_RETURN_IF_ERROR(ForEach(entries.size(), threads, [&](size_t i) -> absl::Status {
    const auto bytes = core::ReadFile(entries[i].path);
    if (!bytes.ok()) {
      read[i].image = absl::NotFoundError("can't be read");
      return absl::OkStatus();
    }
    read[i].content = core::Sha256Hex(*bytes);
    read[i].image = vision::Decode(*bytes, OwnFiles(), /*enough=*/0);
    if (read[i].image.ok()) read[i].image = Cut(*std::move(read[i].image), entries[i], gtsrb);
    return absl::OkStatus();
  }));
  return read;
}

}  // namespace

absl::StatusOr<SourcePictures> ReadGtsrb(const fs::path& data, size_t index,
                                         const v1::Domain& domain, size_t threads) {
  const v1::Gtsrb& gtsrb = domain.gtsrb();
  const fs::path folder = data / gtsrb.folder();
  const fs::path training = folder / (gtsrb.training().empty() ? "Training" : gtsrb.training());
  const fs::path test = folder / (gtsrb.test().empty() ? "Test/Images" : gtsrb.test());
  SourcePictures source;
  ORCHARD_ASSIGN_OR_RETURN(const std::vector<size_t> ids, ClassFolders(training));
  ORCHARD_ASSIGN_OR_RETURN(source.classes, ClassNames(folder, ids));
  Lists lists;
  std::vector<Entry> entries;
  for (const size_t id : ids) {
    const std::string name = absl::StrFormat("%05u", id);
    ORCHARD_ASSIGN_OR_RETURN(
        std::vector<Entry> of_class,
        lists.Read(training / name / absl::StrCat("GT-", name, ".csv"), training / name, id));
    std::ranges::move(of_class, std::back_inserter(entries));
  }
  source.skipped = Exclude(gtsrb, entries, lists);
  constexpr const char* kTestList = "GT-final_test.csv";
  fs::path list = test / kTestList;
  if (!fs::exists(list)) list = test.parent_path() / kTestList;
  if (fs::exists(list)) {
    ORCHARD_ASSIGN_OR_RETURN(std::vector<Entry> tested, lists.Read(list, test, std::nullopt));
    std::ranges::move(tested, std::back_inserter(entries));
  } else {
    source.skipped.push_back(absl::StrCat("the test side: ", list.string(), " is not there"));
  }
  for (const Entry& entry : entries) {
    if (std::ranges::binary_search(ids, entry.class_id)) continue;
    lists.AddFault(absl::StrCat(entry.path.string(), ": ClassId is ", entry.class_id,
                                ", of which there is no folder in ", training.string()));
  }
  ORCHARD_RETURN_IF_ERROR(lists.Faults());
  ORCHARD_ASSIGN_OR_RETURN(std::vector<Read> read, ReadAll(entries, gtsrb, threads));
  for (size_t i = 0; i < entries.size(); ++i) {
    if (!read[i].image.ok()) {
      source.skipped.push_back(
          absl::StrCat(entries[i].path.string(), ": ", read[i].image.status().message()));
      continue;
    }
    const Entry& entry = entries[i];
    const std::string& group = entry.track.empty()           ? read[i].content
                               : entry.track == kSameSign[1] ? kSameSign[0]
                                                             : entry.track;
    const auto label = std::ranges::lower_bound(ids, entry.class_id) - ids.begin();
    source.pictures.push_back({.path = entry.path,
                               .label = {.domain = index, .label = static_cast<size_t>(label)},
                               .content = read[i].content,
                               .group = absl::StrCat(domain.name(), ":", group)});
    source.sides.push_back(entry.track.empty() ? std::optional<Side>(Side::kTest) : std::nullopt);
    source.images.push_back(*std::move(read[i].image));
  }
  return source;
}

}  // namespace orchard::training
