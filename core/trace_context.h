#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

/// \file
/// Which request a call belongs to: the names that carry it between processes, and the W3C trace
/// context (https://www.w3.org/TR/trace-context/, version 00). Pure.

namespace orchard::core {

/// The caller's name for a request; comes back in the trailers.
inline constexpr char kRequestIdKey[] = "x-request-id";
/// The trace that a request belongs to, and the caller's part of it.
inline constexpr char kTraceparentKey[] = "traceparent";
/// A trailer: the trace, and our part of it.
inline constexpr char kTraceresponseKey[] = "traceresponse";

/// A place in a trace. The default is none.
struct TraceContext {
  std::uint64_t trace_high = 0;  ///< the upper half of the trace's id
  std::uint64_t trace_low = 0;   ///< the lower half; an id has at least one bit
  std::uint64_t span = 0;        ///< whose part it is; never 0
  std::uint8_t flags = 0;        ///< 1: the caller may have recorded it; 2: the id is random

  bool operator==(const TraceContext&) const = default;
};

/// Reads "00-<32 hex digits>-<16 hex digits>-<2 hex digits>", strictly: lower case, this version
/// and length, no id of zeros. Without a value for anything else: then a new trace begins. Flags
/// that the version does not know are dropped, as it demands.
std::optional<TraceContext> ParseTraceparent(std::string_view text);

/// As ParseTraceparent reads it; `traceresponse` has the same form.
std::string ToTraceparent(const TraceContext& trace);

/// The trace's id, 32 hex digits: what logs and errors say.
std::string TraceId(const TraceContext& trace);

/// Whether `id` may name a request: 1 to 128 printable characters without spaces.
bool IsRequestId(std::string_view id);

/// The id of a part of a request, "ID.7": cut so that it is an id whenever `id` is one.
std::string RequestIdOfPart(std::string_view id, std::uint64_t part);

}  // namespace orchard::core
