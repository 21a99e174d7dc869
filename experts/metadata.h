#pragma once

/// \file
/// Metadata of a Score call: names that both ends of the wire know.

namespace orchard::experts {

/// From the expert, as decimal numbers: microseconds between arrival and computing, microseconds of
/// the batch that the call was in, rows that wait or are in progress (without this call's), and
/// nanoseconds that a row takes of the process (service_time.h; not said while nobody knows it).
inline constexpr char kQueueTrailer[] = "orchard-queue-us";
inline constexpr char kComputeTrailer[] = "orchard-compute-us";
inline constexpr char kInFlightTrailer[] = "orchard-in-flight";
inline constexpr char kServiceTrailer[] = "orchard-service-ns";

}  // namespace orchard::experts
