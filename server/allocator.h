#pragma once

#include <cstddef>

#include "absl/status/status.h"

namespace orchard::server {

/// How much glibc's malloc keeps instead of giving it back to the kernel after every layer of a
/// network. Its defaults cost LibTorch 1.6 to 2.3 times the computing time: serving.md section 3.
struct AllocatorOptions {
  /// Blocks below this come from the heap, not from a mapping of their own. Bytes, < 2^31.
  size_t mmap_threshold = size_t{1} << 30;
  /// The free top of the heap that is kept. Bytes; more than 2^31 - 1 means 2^31 - 1.
  size_t trim_threshold = (size_t{1} << 31) - 1;
  /// Added to every growth of a heap, the main one and those of threads. Bytes, < 2^31. Measured on
  /// the activations of MobileNetV2, two threads, 200 passes at batch 8: page faults 5.2 million
  /// with glibc's defaults, 0.11 million with 16 or with 64 MiB; anonymous memory afterwards 196
  /// MiB with 16 and 435 MiB with 64 (47 MiB either way at batch 1).
  size_t top_pad = size_t{16} << 20;
};

/// Tells malloc, by mallopt(); no environment variable is needed. First thing in main, before
/// LibTorch allocates. A MALLOC_..._ variable that an operator set is overridden.
/// Errors: INTERNAL naming the parameter that malloc refused (another allocator is preloaded: it
/// may have no such knobs, which is harmless).
absl::Status TuneAllocator(const AllocatorOptions& options = {});

}  // namespace orchard::server
