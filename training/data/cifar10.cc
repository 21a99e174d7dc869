#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <string_view>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"

#include "core/digest.h"
#include "core/status.h"
#include "core/text.h"
#include "training/data/parallel.h"
#include "training/data/picture_store.h"
#include "training/data/source.h"
#include "vision/decode.h"

namespace orchard::training {
namespace {

namespace fs = std::filesystem;

constexpr size_t kSide = 32;                 ///< pixels
constexpr size_t kPixels = kSide * kSide;    // a plane
constexpr size_t kRecord = 1 + 3 * kPixels;  ///< bytes: label, then the planes of R, G and B
constexpr size_t kBatches = 5;               ///< of training
constexpr size_t kAcross = 40;               ///< pictures of a sheet
constexpr size_t kDown = 25;                 ///< of a sheet
constexpr size_t kSheet = kAcross * kDown;   // pictures

/// Pictures in the order of their files.
struct Records {
  std::vector<std::string> names;  ///< "<file>#<index in it>"
  std::vector<size_t> labels;
  std::vector<vision::Image> images;
  std::vector<size_t> batch;  ///< of the published five, counted from 1; 0: of none
  std::vector<std::string> skipped;

  void Add(std::string name, size_t label, vision::Image image, size_t of_batch) {
    names.push_back(std::move(name));
    labels.push_back(label);
    images.push_back(std::move(image));
    batch.push_back(of_batch);
  }
};

std::string NameInFile(const std::string& file, size_t i) { return absl::StrCat(file, "#", i); }

absl::Status CheckLabel(const fs::path& file, size_t record, size_t label, size_t classes) {
  if (label < classes) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(file.string(), ", picture ", record, " (counted from 0): the label is ", label,
                   ", must be below ", classes, ", the number of names in batches.meta.txt"));
}

/// Planes → interleaved.
vision::Image FromPlanes(std::string_view planes) {
  vision::Image image{
      .width = kSide, .height = kSide, .rgb = std::vector<std::uint8_t>(3 * kPixels)};
  for (size_t c = 0; c < 3; ++c) {
    for (size_t i = 0; i < kPixels; ++i) {
      image.rgb[3 * i + c] = static_cast<std::uint8_t>(planes[c * kPixels + i]);
    }
  }
  return image;
}

/// A file of records; `name` is its path below the source's folder.
absl::Status ReadBinary(const fs::path& folder, const std::string& name, size_t classes,
                        size_t batch, Records& records) {
  const fs::path file = folder / name;
  ORCHARD_ASSIGN_OR_RETURN(const std::string bytes, core::ReadFile(file));
  if (bytes.empty() || bytes.size() % kRecord != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(file.string(), " has ", bytes.size(), " bytes, must be a multiple of ",
                     kRecord, ": CIFAR-10's binary form, a label and 32 x 32 pixels each"));
  }
  for (size_t i = 0; i < bytes.size() / kRecord; ++i) {
    const std::string_view record(&bytes[i * kRecord], kRecord);
    const size_t label = static_cast<std::uint8_t>(record[0]);
    ORCHARD_RETURN_IF_ERROR(CheckLabel(file, i, label, classes));
    records.Add(NameInFile(name, i), label, FromPlanes(record.substr(1)), batch);
  }
  return absl::OkStatus();
}

vision::Image FromSheet(const vision::Image& sheet, size_t i) {
  vision::Image image{
      .width = kSide, .height = kSide, .rgb = std::vector<std::uint8_t>(3 * kPixels)};
  const size_t left = i % kAcross * kSide;
  const size_t top = i / kAcross * kSide;
  for (size_t y = 0; y < kSide; ++y) {
    std::memcpy(&image.rgb[y * kSide * 3], &sheet.rgb[((top + y) * sheet.width + left) * 3],
                kSide * 3);
  }
  return image;
}

/// The packed form: sheets of a thousand pictures, and a byte a picture.
absl::Status ReadSheets(const fs::path& folder, size_t classes, size_t threads, Records& records) {
  const fs::path file = folder / "train-labels.bin";
  ORCHARD_ASSIGN_OR_RETURN(const std::string labels, core::ReadFile(file));
  const size_t sheets = labels.size() / kSheet;
  if (labels.empty() || labels.size() % kSheet != 0 || sheets % kBatches != 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        file.string(), " has ", labels.size(), " bytes, must be a multiple of ", kBatches * kSheet,
        ": a byte a picture, ", kSheet, " pictures a sheet, ", kBatches, " equal batches"));
  }
  std::vector<vision::Image> images(sheets);
  const auto name = [](size_t i) { return absl::StrFormat("train/%02u.jpg", i); };
  ORCHARD_RETURN_IF_ERROR(ForEach(sheets, threads, [&](size_t i) -> absl::Status {
    const fs::path sheet = folder / name(i);
    ORCHARD_ASSIGN_OR_RETURN(const std::string bytes, core::ReadFile(sheet));
    auto image = vision::Decode(bytes, OwnFiles(), /*enough=*/0);
    if (!image.ok()) return core::Annotate(image.status(), sheet.string());
    if (image->width != kAcross * kSide || image->height != kDown * kSide) {
      return absl::InvalidArgumentError(
          absl::StrFormat("%s is %u x %u pixels, a sheet must be %u x %u", sheet.string(),
                          image->width, image->height, kAcross * kSide, kDown * kSide));
    }
    images[i] = *std::move(image);
    return absl::OkStatus();
  }));
  for (size_t i = 0; i < labels.size(); ++i) {
    const size_t label = static_cast<std::uint8_t>(labels[i]);
    ORCHARD_RETURN_IF_ERROR(CheckLabel(file, i, label, classes));
    records.Add(NameInFile(name(i / kSheet), i % kSheet), label,
                FromSheet(images[i / kSheet], i % kSheet), 1 + i * kBatches / labels.size());
  }
  return absl::OkStatus();
}

/// Test pictures as folders of classes.
absl::Status ReadTestFolders(const fs::path& folder, const std::string& name,
                             const std::vector<std::string>& classes, size_t threads,
                             Records& records) {
  std::vector<fs::path> files;
  std::vector<size_t> labels;
  for (size_t label = 0; label < classes.size(); ++label) {
    ORCHARD_ASSIGN_OR_RETURN(const std::vector<fs::path> of_class,
                             ListPictures(folder / name / classes[label]));
    files.insert(files.end(), of_class.begin(), of_class.end());
    labels.resize(files.size(), label);
  }
  std::vector<absl::StatusOr<vision::Image>> images(files.size(), absl::UnknownError("not read"));
  ORCHARD_RETURN_IF_ERROR(ForEach(files.size(), threads, [&](size_t i) -> absl::Status {
    ORCHARD_ASSIGN_OR_RETURN(const std::string bytes, core::ReadFile(files[i]));
    images[i] = DecodeToKeep(bytes);
    return absl::OkStatus();
  }));
  for (size_t i = 0; i < files.size(); ++i) {
    if (images[i].ok()) {
      records.Add(files[i].lexically_relative(folder).generic_string(), labels[i],
                  *std::move(images[i]), /*of_batch=*/0);
    } else {
      records.skipped.push_back(
          absl::StrCat(files[i].string(), ": ", images[i].status().message()));
    }
  }
  return absl::OkStatus();
}

absl::Status ReadTest(const fs::path& folder, const v1::Cifar10& cifar,
                      const std::vector<std::string>& classes, size_t threads, Records& records) {
  const bool binary = fs::exists(folder / "test_batch.bin");
  const std::string name = !cifar.test().empty() ? cifar.test()
                           : binary              ? "test_batch.bin"
                                                 : "test";
  if (fs::is_directory(folder / name)) {
    return ReadTestFolders(folder, name, classes, threads, records);
  }
  if (fs::exists(folder / name)) {
    return ReadBinary(folder, name, classes.size(), /*batch=*/0, records);
  }
  if (!cifar.test().empty()) {
    return absl::NotFoundError(absl::StrCat(
        (folder / name).string(), " is not there; test must be a file of records or a folder"));
  }
  records.skipped.push_back(
      absl::StrCat("the test side: neither test_batch.bin nor test is in ", folder.string()));
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> ReadClassNames(const fs::path& file) {
  ORCHARD_ASSIGN_OR_RETURN(const std::string text, core::ReadFile(file));
  std::vector<std::string> classes;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    line = absl::StripAsciiWhitespace(line);
    if (!line.empty()) classes.emplace_back(line);
  }
  if (classes.size() >= 2) return classes;
  return absl::InvalidArgumentError(absl::StrCat(
      file.string(), " has ", classes.size(), " names of classes, a line each; there must be 2"));
}

std::optional<Side> SideOf(const v1::Cifar10& cifar, size_t batch) {
  if (batch == 0) return Side::kTest;
  if (cifar.validation_batch() == 0) return std::nullopt;
  return batch == cifar.validation_batch() ? Side::kValidation : Side::kTrain;
}

}  // namespace

absl::StatusOr<SourcePictures> ReadCifar10(const fs::path& data, size_t index,
                                           const v1::Domain& domain, size_t threads) {
  const v1::Cifar10& cifar = domain.cifar10();
  const fs::path folder = data / cifar.folder();
  SourcePictures source;
  ORCHARD_ASSIGN_OR_RETURN(source.classes, ReadClassNames(folder / "batches.meta.txt"));
  Records records;
  if (const std::string first = "data_batch_1.bin"; fs::exists(folder / first)) {
    for (size_t b = 1; b <= kBatches; ++b) {
      ORCHARD_RETURN_IF_ERROR(ReadBinary(folder, absl::StrCat("data_batch_", b, ".bin"),
                                         source.classes.size(), b, records));
    }
  } else if (fs::exists(folder / "train-labels.bin")) {
    ORCHARD_RETURN_IF_ERROR(ReadSheets(folder, source.classes.size(), threads, records));
  } else {
    return absl::NotFoundError(absl::StrCat(
        folder.string(), " holds neither data_batch_1.bin nor train-labels.bin with train/*.jpg"));
  }
  ORCHARD_RETURN_IF_ERROR(ReadTest(folder, cifar, source.classes, threads, records));
  source.pictures.resize(records.names.size());
  ORCHARD_RETURN_IF_ERROR(ForEach(records.names.size(), threads, [&](size_t i) {
    const std::vector<std::uint8_t>& rgb = records.images[i].rgb;
    const std::string content =
        core::Sha256Hex({reinterpret_cast<const char*>(rgb.data()), rgb.size()});
    source.pictures[i] = {.path = folder / records.names[i],
                          .label = {.domain = index, .label = records.labels[i]},
                          .content = content,
                          .group = absl::StrCat(domain.name(), ":", content)};
    return absl::OkStatus();
  }));
  for (const size_t batch : records.batch) source.sides.push_back(SideOf(cifar, batch));
  source.images = std::move(records.images);
  source.skipped = std::move(records.skipped);
  return source;
}

}  // namespace orchard::training
