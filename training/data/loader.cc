#include "training/data/loader.h"

#include <algorithm>
#include <random>

#include "core/random.h"
#include "training/data/dataset.h"
#include "vision/augment.h"
#include "vision/weather.h"

namespace orchard::training {
namespace {

constexpr std::uint64_t kSky = 2;  ///< tells the weather's seed from the view's and the mixing's

vision::Augmentation ToVision(const v1::Augmentation& a, vision::Framing framing) {
  vision::Augmentation augmentation;
  augmentation.framing = framing;
  if (a.has_min_area()) augmentation.min_area = a.min_area();
  if (a.has_min_aspect()) augmentation.min_aspect = a.min_aspect();
  augmentation.horizontal_flip = a.horizontal_flip();
  augmentation.vertical_flip = a.vertical_flip();
  augmentation.brightness = a.brightness();
  augmentation.contrast = a.contrast();
  augmentation.saturation = a.saturation();
  augmentation.hue = a.hue();
  augmentation.erasing = a.erasing();
  if (a.has_erasing_min_area()) augmentation.erasing_min_area = a.erasing_min_area();
  if (a.has_erasing_max_area()) augmentation.erasing_max_area = a.erasing_max_area();
  augmentation.operations = a.rand_augment().operations();
  augmentation.magnitude = a.rand_augment().magnitude();
  augmentation.pad = a.pad();
  augmentation.rotation = a.rotation();
  augmentation.jpeg = a.jpeg();
  if (a.has_jpeg_quality()) augmentation.jpeg_quality = static_cast<int>(a.jpeg_quality());
  return augmentation;
}

/// Mirrors a square at its main diagonal.
void Transpose(std::span<std::uint8_t> rgb, size_t side) {
  for (size_t y = 0; y < side; ++y) {
    for (size_t x = y + 1; x < side; ++x) {
      std::swap_ranges(&rgb[(y * side + x) * 3], &rgb[(y * side + x) * 3] + 3,
                       &rgb[(x * side + y) * 3]);
    }
  }
}

}  // namespace

Loader::Loader(const PictureStore& store, std::span<const Label> labels,
               std::span<const v1::Augmentation> augmentations, EpochPlan plan, size_t threads)
    : store_(store),
      labels_(labels),
      augmentations_(augmentations),
      plan_(std::move(plan)),
      ahead_(3 + std::max<size_t>(threads, 1)),
      ready_(plan_.sides.size()) {
  for (size_t t = 0; t < std::max<size_t>(threads, 1); ++t)
    workers_.emplace_back([this] { Work(); });
}

Loader::~Loader() {
  core::MutexLock lock(mutex_);
  stopping_ = true;
  changed_.notify_all();
}

Batch Loader::Next() {
  core::MutexLock lock(mutex_);
  while (!ready_[taken_].pixels.defined() && !failure_) lock.Wait(changed_);
  if (failure_) std::rethrow_exception(failure_);
  Batch batch = std::move(ready_[taken_]);
  ready_[taken_++] = {};
  changed_.notify_all();
  return batch;
}

void Loader::Work() {
  while (true) {
    size_t index = 0;
    {
      core::MutexLock lock(mutex_);
      while (!stopping_ && begun_ < ready_.size() && begun_ >= taken_ + ahead_) {
        lock.Wait(changed_);
      }
      if (stopping_ || begun_ == ready_.size()) return;
      index = begun_++;
    }
    Batch batch;
    std::exception_ptr failure;
    try {
      batch = Make(index);
    } catch (...) {  // Too little memory, say: for who waits in Next(), not the end of the program.
      failure = std::current_exception();
    }
    core::MutexLock lock(mutex_);
    ready_[index] = std::move(batch);
    if (failure) {
      failure_ = failure;
      stopping_ = true;
    }
    changed_.notify_all();
  }
}

Batch Loader::Make(size_t index) const {
  const size_t side = plan_.sides[index];
  const auto length = static_cast<int64_t>(side);
  Batch batch{
      .pixels = torch::empty({static_cast<int64_t>(plan_.batch), length, length, 3}, torch::kUInt8),
      .labels = {}};
  const size_t row = side * side * 3;
  const std::span<std::uint8_t> all(batch.pixels.data_ptr<std::uint8_t>(), plan_.batch * row);
  for (size_t i = 0; i < plan_.batch; ++i) {
    const size_t place = index * plan_.batch + i;
    const size_t picture = plan_.pictures[place];
    Label label = labels_[picture];
    const v1::Augmentation& augmentation = augmentations_[label.domain];
    vision::Augmentation view = ToVision(augmentation, plan_.framing);
    const Mirrors* const mirrors = plan_.mirrors.empty() ? nullptr : &plan_.mirrors[label.domain];
    if (mirrors != nullptr && !mirrors->Of(label.label)) view.horizontal_flip = 0.0;
    std::mt19937_64 random(Mix(plan_.seed, place));
    const std::span<std::uint8_t> out = all.subspan(i * row, row);
    const vision::Mirrored mirrored = vision::Augment(store_[picture], view, side, random, out);
    if (mirrors != nullptr && mirrored.left_right) label.label = *mirrors->Of(label.label);
    if (core::Uniform(random) < augmentation.transpose()) {
      Transpose(out, side);
    }
    if (augmentation.weather() > 0.0) {  // Of numbers of its own: no other draw knows of it.
      std::mt19937_64 sky(Mix(plan_.seed, place, kSky));
      vision::RenderAny(augmentation.weather(), side, sky, out);
    }
    batch.labels.push_back(label);
  }
  if (plan_.mixing.on()) {
    std::vector<size_t> flat;
    for (const Label& label : batch.labels) flat.push_back(FlatIndex(plan_.classes, label));
    // A picture's place has no second number: this seed is none of theirs.
    MixPictures(plan_.mixing, flat, TotalClasses(plan_.classes), Mix(plan_.seed, index, 1), batch);
  }
  return batch;
}

}  // namespace orchard::training
