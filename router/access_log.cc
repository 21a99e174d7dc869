#include "router/access_log.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"

#include "core/clock.h"
#include "core/trace_context.h"
#include "orchard/v1/classifier.pb.h"
#include "router/options.h"
#include "router/refusal.h"
#include "server/limited_log.h"
#include "server/log.h"

namespace orchard::router {
namespace {

std::string_view Event(Method method) {
  return method == Method::kClassifyStream ? "classify_stream" : "classify";
}

/// "fruit:down,vegetable:timeout"
std::string Missing(const Classification& classification) {
  std::string text;
  const std::vector<DomainRoute>& domains = classification.routing.domains;
  for (size_t domain = 0; domain < domains.size(); ++domain) {
    if (!domains[domain].missing()) continue;
    absl::StrAppend(&text, text.empty() ? "" : ",", classification.catalogue->domains[domain], ":",
                    std::string(experts::Name(*domains[domain].missing_reason)));
  }
  return text;
}

/// Calls `use` with the event and the fields, which live that long.
template <typename Use>
auto Describe(const RequestRecord& record, std::uint64_t left_out, const Use& use) {
  const std::string trace_id = core::TraceId(record.trace);
  std::vector<server::LogField> fields = {{"request_id", record.request_id},
                                          {"trace_id", trace_id},
                                          {"code", record.status.code()},
                                          {"ms", core::Milliseconds(record.passage.Total())},
                                          {"bytes", record.bytes}};
  if (record.cold_wait > core::Clock::duration::zero()) {
    fields.emplace_back("cold_ms", core::Milliseconds(record.cold_wait));
  }
  const std::string_view event = Event(record.method.value_or(Method::kClassify));
  if (record.classification == nullptr) {
    const absl::string_view reason = record.status.message();
    fields.emplace_back("stage", Name(record.passage.last()));
    fields.emplace_back("reason", std::string_view(reason.data(), reason.size()));
    if (left_out > 0) fields.emplace_back("repeated", left_out);
    return use(event, fields);
  }
  const Classification& answer = *record.classification;
  const std::string& policy = v1::Policy_Name(ToWire(answer.routing.policy));
  const std::string missing = Missing(answer);
  fields.emplace_back("policy", policy);
  fields.emplace_back("experts", answer.routing.Activated());
  fields.emplace_back("outcome", moe::Name(answer.outcome));
  fields.emplace_back("degraded", !missing.empty());
  if (!missing.empty()) fields.emplace_back("missing", missing);
  return use(event, fields);
}

}  // namespace

void AccessLog::Finished(const RequestRecord& record) {
  if (!record.method || !server::LogEnabled(server::LogLevel::kInfo)) return;
  std::uint64_t left_out = 0;
  if (const std::optional<Shed> reason = ShedBy(record.status)) {
    const auto admitted = server::AdmitLimited(Event(*record.method), std::string(Name(*reason)));
    if (!admitted) return;
    left_out = *admitted;
  }
  Describe(record, left_out, [](std::string_view event, std::span<const server::LogField> fields) {
    server::Log(server::LogLevel::kInfo, event, fields);
  });
}

std::string AccessLogText(const RequestRecord& record) {
  return Describe(record, 0, [](std::string_view event, std::span<const server::LogField> fields) {
    return server::FormatLogLine(event, fields);
  });
}

}  // namespace orchard::router
