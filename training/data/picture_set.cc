#include "training/data/picture_set.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"

#include "core/status.h"
#include "training/data/groups.h"
#include "training/data/mirrors.h"
#include "training/data/source.h"

namespace orchard::training {
namespace {

namespace fs = std::filesystem;

absl::StatusOr<SourcePictures> ReadFolderSource(const fs::path& data, size_t index,
                                                const v1::Domain& domain, size_t threads) {
  ORCHARD_ASSIGN_OR_RETURN(DomainClasses classes, ReadClasses(data, domain));
  ORCHARD_ASSIGN_OR_RETURN(FolderPictures read,
                           ReadFolders(data, index, classes, /*keep_images=*/true, threads));
  std::vector<std::optional<Side>> sides(read.pictures.size());
  return SourcePictures{.classes = std::move(classes.classes),
                        .pictures = std::move(read.pictures),
                        .images = std::move(read.images),
                        .sides = std::move(sides),
                        .skipped = std::move(read.skipped)};
}

absl::StatusOr<SourcePictures> ReadSource(const fs::path& data, size_t index,
                                          const v1::Domain& domain, size_t threads) {
  switch (domain.source_case()) {
    case v1::Domain::kGtsrb:
      return ReadGtsrb(data, index, domain, threads);
    case v1::Domain::kCifar10:
      return ReadCifar10(data, index, domain, threads);
    case v1::Domain::kFolders:
    case v1::Domain::SOURCE_NOT_SET:
      break;
  }
  return ReadFolderSource(data, index, domain, threads);
}

/// Keeps the values that `keep` names, ascending.
template <typename Value>
void KeepOnly(const std::vector<size_t>& keep, std::vector<Value>& values) {
  for (size_t to = 0; to < keep.size(); ++to) {
    if (to != keep[to]) values[to] = std::move(values[keep[to]]);
  }
  values.resize(keep.size());
}

/// All domains' pictures as they are put together.
struct Gathered {
  Dataset dataset;
  std::vector<vision::Image> images;
  std::vector<std::optional<Side>> sides;

  /// Keeps the pictures that `keep` names, ascending.
  void Keep(const std::vector<size_t>& keep) {
    KeepOnly(keep, dataset.pictures);
    KeepOnly(keep, images);
    KeepOnly(keep, sides);
  }
};

/// The pictures whose side is dealt, as a data set of their own; `members` are their indices.
Dataset Open(const Gathered& gathered, std::vector<size_t>& members) {
  Dataset open{.domains = gathered.dataset.domains, .pictures = {}, .dropped = {}};
  members.clear();
  for (size_t i = 0; i < gathered.sides.size(); ++i) {
    if (gathered.sides[i]) continue;
    open.pictures.push_back(gathered.dataset.pictures[i]);
    members.push_back(i);
  }
  return open;
}

/// Leaves out the groups with two labels, whose side would be dealt; what a source publishes as a
/// side is measured as it is.
void LeaveOutContradictions(Gathered& gathered) {
  std::vector<size_t> members;
  Dataset open = Open(gathered, members);
  const std::vector<Picture> before = open.pictures;
  gathered.dataset.dropped = DropContradictions(open.domains, open.pictures);
  std::vector<bool> out(gathered.sides.size());
  size_t kept = 0;  // Order is kept: what is left is a subsequence.
  for (size_t i = 0; i < members.size(); ++i) {
    if (kept < open.pictures.size() && open.pictures[kept].path == before[i].path) {
      gathered.dataset.pictures[members[i]].group = open.pictures[kept++].group;
    } else {
      out[members[i]] = true;
    }
  }
  std::vector<size_t> keep;
  for (size_t i = 0; i < out.size(); ++i) {
    if (!out[i]) keep.push_back(i);
  }
  gathered.Keep(keep);
}

/// Deals the sides that no source has fixed. A domain with a test side of its own gives no share of
/// the rest to it.
std::vector<Side> Deal(const Gathered& gathered, const v1::Recipe& recipe) {
  std::vector<size_t> members;
  const Dataset open = Open(gathered, members);
  v1::Data data = recipe.data();
  const std::vector<Side> shared = Split(open, data);
  data.set_test_share(0.0);
  const std::vector<Side> no_test = Split(open, data);
  std::vector<Side> sides;
  for (const std::optional<Side>& side : gathered.sides) sides.push_back(side.value_or(Side{}));
  for (size_t i = 0; i < members.size(); ++i) {
    const auto domain = static_cast<int>(open.pictures[i].label.domain);
    sides[members[i]] = HasTestSide(recipe.domains(domain)) ? no_test[i] : shared[i];
  }
  return sides;
}

}  // namespace

bool HasTestSide(const v1::Domain& domain) {
  return domain.source_case() == v1::Domain::kGtsrb || domain.source_case() == v1::Domain::kCifar10;
}

absl::StatusOr<PictureSet> ReadPictureSet(const fs::path& data, const v1::Recipe& recipe,
                                          size_t threads) {
  Gathered gathered;
  for (int g = 0; g < recipe.domains_size(); ++g) {
    const v1::Domain& domain = recipe.domains(g);
    ORCHARD_ASSIGN_OR_RETURN(SourcePictures read,
                             ReadSource(data, static_cast<size_t>(g), domain, threads));
    gathered.dataset.domains.push_back(
        {.name = domain.name(), .branch = domain.branch(), .classes = std::move(read.classes)});
    std::ranges::move(read.pictures, std::back_inserter(gathered.dataset.pictures));
    std::ranges::move(read.images, std::back_inserter(gathered.images));
    std::ranges::move(read.sides, std::back_inserter(gathered.sides));
    std::ranges::move(read.skipped, std::back_inserter(gathered.dataset.skipped));
  }
  for (int g = 0; g < recipe.domains_size(); ++g) {
    const auto& classes = gathered.dataset.domains[static_cast<size_t>(g)];
    ORCHARD_RETURN_IF_ERROR(MirrorsOf(recipe.domains(g), classes).status());
  }
  LeaveOutContradictions(gathered);
  PictureSet set{.domains = gathered.dataset.domains,
                 .pictures = PictureStore(std::move(gathered.images)),
                 .labels = {},
                 .sides = Deal(gathered, recipe),
                 .names = {},
                 .contents = {},
                 .groups = {},
                 .skipped = std::move(gathered.dataset.skipped)};
  for (const std::string& group : gathered.dataset.dropped) {
    set.skipped.push_back(absl::StrCat("two labels: ", group));
  }
  for (Picture& picture : gathered.dataset.pictures) {
    set.labels.push_back(picture.label);
    set.names.push_back(picture.path.lexically_relative(data).generic_string());
    set.contents.push_back(std::move(picture.content));
    set.groups.push_back(std::move(picture.group));
  }
  ORCHARD_RETURN_IF_ERROR(CheckClassesAreTrained(set.domains, set.labels, set.sides));
  return set;
}

Dataset Listing(const PictureSet& set) {
  Dataset dataset{.domains = set.domains, .pictures = {}, .dropped = {}};
  for (size_t i = 0; i < set.size(); ++i) {
    dataset.pictures.push_back({.path = set.names[i],
                                .label = set.labels[i],
                                .content = set.contents[i],
                                .group = set.groups[i]});
  }
  return dataset;
}

absl::Status WriteSplit(const fs::path& file, const PictureSet& set) {
  return WriteSplit(file, Listing(set), set.sides);
}

absl::Status WriteSides(const fs::path& file, const PictureSet& set) {
  return WriteSides(file, Listing(set), set.sides);
}

absl::Status TakeSplit(const fs::path& file, PictureSet& set, size_t& left_out) {
  Dataset listing = Listing(set);
  ORCHARD_ASSIGN_OR_RETURN(std::vector<Side> sides, ReadSplit(file, listing, left_out));
  if (left_out > 0) {
    std::vector<size_t> keep;
    size_t next = 0;  // Order is kept: what is left is a subsequence.
    for (size_t i = 0; i < set.size() && next < listing.pictures.size(); ++i) {
      if (listing.pictures[next].path.generic_string() != set.names[i]) continue;
      keep.push_back(i);
      ++next;
    }
    set.pictures = std::move(set.pictures).Only(keep);
    KeepOnly(keep, set.labels);
    KeepOnly(keep, set.names);
    KeepOnly(keep, set.contents);
    KeepOnly(keep, set.groups);
  }
  set.sides = std::move(sides);
  return CheckClassesAreTrained(set.domains, set.labels, set.sides);
}

}  // namespace orchard::training
