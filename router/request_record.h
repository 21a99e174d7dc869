#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

#include "core/clock.h"
#include "core/trace_context.h"
#include "experts/expert.h"
#include "router/classification.h"
#include "router/passage.h"

namespace orchard::router {

class ServedModel;

/// The methods of the service, as metrics name them.
enum class Method : std::uint8_t { kClassify, kClassifyStream, kDescribeModel };
inline constexpr std::array kMethods = {Method::kClassify, Method::kClassifyStream,
                                        Method::kDescribeModel};

/// "Classify", "ClassifyStream", "DescribeModel".
constexpr std::string_view Name(Method method) {
  constexpr std::array<std::string_view, kMethods.size()> kNames = {"Classify", "ClassifyStream",
                                                                    "DescribeModel"};
  return kNames[static_cast<size_t>(method)];
}

/// Why experts were asked together.
enum class WaveReason : std::uint8_t {
  kPolicy,          ///< the policy wants them
  kCouldWin,        ///< exact: this one could still change the first class
  kCouldMakeItSure  ///< exact: this one could lift the best concept over its threshold
};

/// One Expert::Score, as one picture saw it.
struct CallRecord {
  size_t domain = 0;
  size_t rows = 0;                               ///< of the call, with those of other pictures
  core::Clock::time_point begin = {}, end = {};  ///< end: of the answer, or of the waiting
  absl::StatusCode code = absl::StatusCode::kOk;
  std::string part_version = {};
  /// Every try, also those that were out when the waiting ended: they end with it, as CANCELLED or
  /// DEADLINE_EXCEEDED. Pictures that waited as long share it. Empty in process.
  std::shared_ptr<const std::vector<experts::AttemptRecord>> attempts = nullptr;
};

/// Experts that were asked at the same time.
struct WaveRecord {
  WaveReason reason = WaveReason::kPolicy;
  std::vector<CallRecord> calls;
};

/// All there is to tell of a request, once it has ended. Borrows: what an observer keeps it copies.
struct RequestRecord {
  std::optional<Method> method;  ///< absent: asked within the process, not by a caller
  std::string_view request_id;
  core::TraceContext trace;       ///< `span` is this request's own
  std::string_view model;         ///< "default/1"; empty: no model was chosen
  ServedModel* served = nullptr;  ///< the same; null: none
  size_t bytes = 0;               ///< of the picture's file; 0: refused before it was received
  const Passage& passage;         ///< each stage's begin and end; where it ended
  const absl::Status& status;
  const Classification* classification = nullptr;  ///< null: `status` says why
  /// Gates, who was activated, who answered, who is missing and why. Null: it did not get that far.
  const Routing* routing = nullptr;
  std::span<const WaveRecord> waves = {};  ///< empty unless an observer wants Depth::kWaves
  /// Of the time with its experts, what it waited until domains that were being started were there.
  core::Clock::duration cold_wait = {};
};

}  // namespace orchard::router
