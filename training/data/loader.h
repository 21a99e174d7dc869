#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <span>
#include <thread>
#include <vector>

#include <torch/types.h>

#include "core/mutex.h"
#include "orchard/training/v1/recipe.pb.h"
#include "training/data/batch.h"
#include "training/data/mirrors.h"
#include "training/data/mixing.h"
#include "training/data/picture_store.h"
#include "training/training.h"
#include "vision/vision.h"

namespace orchard::training {

/// How the batches of one epoch are made.
struct EpochPlan {
  std::vector<size_t> pictures;  ///< indices into the store, batch by batch
  std::vector<size_t> sides;     ///< of each batch's pictures, pixels
  size_t batch = 32;
  vision::Framing framing = vision::Framing::kCentreCrop;  ///< of the views
  std::uint64_t seed = 0;  ///< a picture's view depends on it and on its place in the epoch alone
  std::vector<Mirrors> mirrors = {};        ///< of each domain; empty: labels survive every flip
  Mixing mixing = {};                       ///< of a batch's pictures; needs `classes`
  std::vector<DomainClasses> classes = {};  ///< of each domain
};

/// Makes the batches of an epoch ahead of the training, on threads of its own: random views of
/// pictures in memory. The batches don't depend on the number of threads. Not thread-safe.
class Loader {
 public:
  /// `store`, `labels` and `augmentations` (of each domain) outlive it.
  Loader(const PictureStore& store, std::span<const Label> labels,
         std::span<const v1::Augmentation> augmentations, EpochPlan plan, size_t threads);
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  size_t batches() const { return plan_.sides.size(); }

  /// The next batch, in order. At most batches() times. Throws what a worker threw.
  Batch Next() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void Work() ABSL_LOCKS_EXCLUDED(mutex_);
  Batch Make(size_t index) const;

  const PictureStore& store_;
  std::span<const Label> labels_;
  std::span<const v1::Augmentation> augmentations_;
  const EpochPlan plan_;
  const size_t ahead_;  ///< batches that are made or wait at most: one a thread, and some to take
  core::Mutex mutex_;
  std::condition_variable changed_;
  std::vector<Batch> ready_ ABSL_GUARDED_BY(mutex_);  // [batches]; empty: not made or taken
  size_t begun_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t taken_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::exception_ptr failure_ ABSL_GUARDED_BY(mutex_);  // of a worker, for Next()
  std::vector<std::jthread> workers_;  // Last, so that they are joined before what they use dies.
};

}  // namespace orchard::training
