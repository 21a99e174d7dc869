#include "training/data/picture_store.h"

#include <algorithm>
#include <atomic>
#include <functional>
#include <thread>

#include "core/mutex.h"
#include "core/status.h"
#include "core/text.h"
#include "nets/guarded.h"
#include "vision/decode.h"
#include "vision/preprocess.h"

namespace orchard::training {
namespace {

namespace fs = std::filesystem;

/// Our own files may be larger than what a stranger may send.
vision::Limits OwnFiles() {
  vision::Limits limits;
  limits.max_bytes = std::uint64_t{256} << 20;
  limits.max_pixels = 200'000'000;
  limits.max_decode_bytes = std::uint64_t{4} << 30;
  return limits;
}

/// Calls `work` with every index below `count` on `threads` threads; the first error ends it.
absl::Status ForEach(size_t count, size_t threads,
                     const std::function<absl::Status(size_t)>& work) {
  std::atomic<size_t> next{0};
  core::Mutex mutex;
  absl::Status first_error;
  const auto run = [&] {
    for (size_t i = next++; i < count; i = next++) {
      // A thread answers for its own: an exception that left it would end the program.
      absl::Status status = nets::Guarded("reading pictures", [&] { return work(i); });
      if (status.ok()) continue;
      core::MutexLock lock(mutex);
      if (first_error.ok()) first_error = std::move(status);
      next = count;
    }
  };
  {
    std::vector<std::jthread> workers;
    for (size_t t = 0; t < std::max<size_t>(threads, 1); ++t) workers.emplace_back(run);
  }
  return first_error;
}

absl::StatusOr<vision::Image> LoadOne(const fs::path& path) {
  ORCHARD_ASSIGN_OR_RETURN(const std::string bytes, core::ReadFile(path));
  auto image = vision::Decode(bytes, OwnFiles(), PictureStore::kKeptSide);
  if (!image.ok()) return core::Annotate(image.status(), path.string());
  return vision::ShrinkTo(*std::move(image), PictureStore::kKeptSide);
}

}  // namespace

absl::StatusOr<PictureStore> PictureStore::Load(const std::vector<fs::path>& paths,
                                                size_t threads) {
  PictureStore store;
  store.images_.resize(paths.size());
  ORCHARD_RETURN_IF_ERROR(ForEach(paths.size(), threads, [&](size_t i) -> absl::Status {
    ORCHARD_ASSIGN_OR_RETURN(store.images_[i], LoadOne(paths[i]));
    return absl::OkStatus();
  }));
  return store;
}

absl::StatusOr<torch::Tensor> DecodeForServing(const std::vector<fs::path>& paths,
                                               const vision::Profile& profile, size_t threads) {
  const auto side = static_cast<int64_t>(profile.crop);
  torch::Tensor pixels =
      torch::empty({static_cast<int64_t>(paths.size()), side, side, 3}, torch::kUInt8);
  const size_t row = profile.crop * profile.crop * 3;
  const std::span<std::uint8_t> all(pixels.data_ptr<std::uint8_t>(), paths.size() * row);
  ORCHARD_RETURN_IF_ERROR(ForEach(paths.size(), threads, [&](size_t i) -> absl::Status {
    ORCHARD_ASSIGN_OR_RETURN(const std::string bytes, core::ReadFile(paths[i]));
    return core::Annotate(
        vision::DecodeForEncoder(bytes, OwnFiles(), profile, all.subspan(i * row, row)),
        paths[i].string());
  }));
  return pixels;
}

}  // namespace orchard::training
