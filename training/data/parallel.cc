#include "training/data/parallel.h"

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "core/mutex.h"
#include "nets/guarded.h"

namespace orchard::training {

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

}  // namespace orchard::training
