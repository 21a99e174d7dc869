#pragma once

#include <cstddef>

#include "absl/status/statusor.h"

#include "training/data/batch.h"

namespace orchard::training {

/// Something to learn from: gives batches. It knows no network.
class Task {
 public:
  virtual ~Task() = default;

  /// Batches an epoch; the same for every epoch.
  virtual size_t steps() const = 0;
  virtual size_t batch() const = 0;  ///< pictures a batch

  /// Called before the batches of `epoch`, which counts from 0 and may start later after a resume:
  /// an epoch's batches depend on its number alone.
  virtual void BeginEpoch(size_t epoch) = 0;

  /// The next batch, at most steps() times an epoch.
  virtual Batch Next() = 0;
};

}  // namespace orchard::training
