#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>

/// \file
/// What this process may use of the machine, and how it is divided. The division is in numbers that
/// belong to pictures (decoding against encoding, bytes in progress), because the machine is
/// divided once for all; nothing here knows what a picture is.

namespace orchard::server {

/// What this process may use of the machine.
struct Allowance {
  double cpus = 1.0;                    ///< by affinity and quota; above 0
  std::optional<std::uint64_t> memory;  ///< bytes; absent: as much as there is
};

/// Reads the control groups' limits, version 2 or 1: the smallest of this process's own group and
/// of all groups around it. The kernel shows a container the machine's cores; threads for all of
/// them would only be throttled.
///
/// Files that are missing or unreadable set no limit. `root` is where the file system is (tests
/// have one of their own), `cpus` what the affinity mask allows.
Allowance ReadAllowance(const std::filesystem::path& root, size_t cpus);

/// Of this process, by its affinity mask and control groups.
Allowance OwnAllowance();

/// Threads that decode and that encode.
struct WorkerCounts {
  size_t decode = 1;
  size_t encode = 1;
};

/// Divides an allowance. An encode worker keeps a core busy; so there is one for each whole core,
/// and at least one. Decoding a photograph of 293 kB takes about as long as a BF16 forward pass:
/// with as many decoders, two cores answered 1.03 to 1.27 times as many pictures as with half as
/// many (`orchard bench --concurrency 4` on two routers in turn). They wait when the encoder has
/// enough (waiting_room.h), so that too many do no harm.
///
/// Besides, what all decoders may hold at a time, `bytes_a_decoder` each, fits the memory that is
/// for decoding; one decoder there always is.
WorkerCounts DivideWorkers(const Allowance& allowance, std::uint64_t bytes_a_decoder);

/// Memory for decoding, of all decoders together: a quarter of the allowed memory. Nothing: as much
/// as there is.
std::optional<std::uint64_t> DecodingBytes(const Allowance& allowance);

/// `bytes`, or what is for decoding where that is less: what one decoder may hold, so that the one
/// that there always is fits as well.
std::uint64_t AtMostForDecoding(const Allowance& allowance, std::uint64_t bytes);

/// Bytes of pictures in progress: a quarter of the allowed memory, or of the machine's. The rest is
/// for the model, decoding, and what gRPC has received and not yet handed over.
std::uint64_t PictureBytes(const Allowance& allowance);

/// `bytes`, or an eighth of the allowed memory where that is less: what a buffer may hold that does
/// little for the service when it is large, and ends it when it takes all there is. At least 64
/// MiB.
std::uint64_t AtMostAnEighth(const Allowance& allowance, std::uint64_t bytes);

}  // namespace orchard::server
