#include "training/data/picture_store.h"

#include <string>

#include "core/status.h"
#include "core/text.h"
#include "training/data/parallel.h"
#include "vision/decode.h"
#include "vision/preprocess.h"

namespace orchard::training {

namespace fs = std::filesystem;

namespace {

/// uint8 [count, crop, crop, 3], of which `make(i, out)` fills each picture's bytes.
template <typename Make>
absl::StatusOr<torch::Tensor> MakeViews(size_t count, const vision::Profile& profile,
                                        size_t threads, const Make& make) {
  const auto side = static_cast<int64_t>(profile.crop);
  torch::Tensor pixels = torch::empty({static_cast<int64_t>(count), side, side, 3}, torch::kUInt8);
  const size_t row = profile.crop * profile.crop * 3;
  const std::span<std::uint8_t> all(pixels.data_ptr<std::uint8_t>(), count * row);
  ORCHARD_RETURN_IF_ERROR(
      ForEach(count, threads, [&](size_t i) { return make(i, all.subspan(i * row, row)); }));
  return pixels;
}

}  // namespace

vision::Limits OwnFiles() {
  vision::Limits limits;
  limits.max_bytes = std::uint64_t{256} << 20;
  limits.max_pixels = 200'000'000;
  limits.max_decode_bytes = std::uint64_t{4} << 30;
  limits.formats.push_back(vision::Format::kPpm);  // As GTSRB is published.
  return limits;
}

absl::StatusOr<vision::Image> DecodeToKeep(std::string_view bytes) {
  ORCHARD_ASSIGN_OR_RETURN(vision::Image image,
                           vision::Decode(bytes, OwnFiles(), PictureStore::kKeptSide));
  return vision::ShrinkTo(std::move(image), PictureStore::kKeptSide);
}

absl::StatusOr<PictureStore> PictureStore::Load(const std::vector<fs::path>& paths,
                                                size_t threads) {
  PictureStore store;
  store.images_.resize(paths.size());
  ORCHARD_RETURN_IF_ERROR(ForEach(paths.size(), threads, [&](size_t i) -> absl::Status {
    ORCHARD_ASSIGN_OR_RETURN(const std::string bytes, core::ReadFile(paths[i]));
    auto image = DecodeToKeep(bytes);
    if (!image.ok()) return core::Annotate(image.status(), paths[i].string());
    store.images_[i] = *std::move(image);
    return absl::OkStatus();
  }));
  return store;
}

PictureStore PictureStore::Only(const std::vector<size_t>& pictures) && {
  std::vector<vision::Image> kept;
  for (const size_t i : pictures) kept.push_back(std::move(images_[i]));
  return PictureStore(std::move(kept));
}

absl::StatusOr<torch::Tensor> FitPictures(const PictureStore& store,
                                          std::span<const size_t> pictures,
                                          const vision::Profile& profile, size_t threads) {
  return MakeViews(pictures.size(), profile, threads, [&](size_t i, std::span<std::uint8_t> out) {
    vision::FitToEncoder(store[pictures[i]], profile, out);
    return absl::OkStatus();
  });
}

absl::StatusOr<torch::Tensor> DecodeForServing(const std::vector<fs::path>& paths,
                                               const vision::Profile& profile, size_t threads) {
  return MakeViews(
      paths.size(), profile, threads, [&](size_t i, std::span<std::uint8_t> out) -> absl::Status {
        ORCHARD_ASSIGN_OR_RETURN(const std::string bytes, core::ReadFile(paths[i]));
        return core::Annotate(vision::DecodeForEncoder(bytes, OwnFiles(), profile, out),
                              paths[i].string());
      });
}

}  // namespace orchard::training
