#pragma once

/// \file
/// Words that every folder uses. No gRPC, no LibTorch, no OpenCV. Read in this order:
///   status.h (how errors travel), without_throwing.h (where exceptions end), clock.h, mutex.h,
///   micro_batcher.h (work between threads), log_space.h (arithmetic of probabilities), window.h
///   (figures over time), linear_time.h (how long work of a size takes), tensor.h (rows of
///   numbers), digest.h, text.h (lists for people), file_pieces.h (large files), units.h (sizes and
///   durations as people write them), printable.h (others' words on a terminal; utf8.h),
///   passed_over.h (what lies beside pictures), inherited.h (how a process begins), blas_kernels.h
///   (is OpenBLAS as new as the CPU).
/// Conventions: logarithms are natural; times are std::chrono; errors are absl::Status.
