#pragma once

/// \file
/// Metadata of a Score call: names that both ends of the wire know.

namespace orchard::experts {

/// From the expert, as decimal numbers: microseconds between arrival and computing, microseconds of
/// the batch that the call was in, and rows that wait or are in progress (without this call's).
inline constexpr char kQueueTrailer[] = "orchard-queue-us";
inline constexpr char kComputeTrailer[] = "orchard-compute-us";
inline constexpr char kInFlightTrailer[] = "orchard-in-flight";

}  // namespace orchard::experts
