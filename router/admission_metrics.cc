#include "router/admission_metrics.h"

#include <optional>
#include <string>

#include "server/metrics.h"

namespace orchard::router {
namespace {

constexpr std::array<const char*, 4> kEstimates = {"decode", "pass", "picture", "experts"};

}  // namespace

AdmissionMetrics::AdmissionMetrics(prometheus::Registry& registry) {
  auto& shed = server::CounterFamily(registry, "orchard_shed_total",
                                     "Requests refused or dropped, by the limit.");
  for (size_t i = 0; i < kSheds; ++i) {
    shed_[i] = &shed.Add({{"reason", std::string(Name(static_cast<Shed>(i)))}});
  }
  auto& estimates =
      server::GaugeFamily(registry, "orchard_estimate_seconds", "What admission judges by.");
  for (size_t i = 0; i < kEstimates.size(); ++i) {
    estimates_[i] = &estimates.Add({{"of", kEstimates[i]}});
  }
  bytes_ = &server::GaugeFamily(registry, "orchard_in_flight_bytes",
                                "Bytes of the pictures in progress.")
                .Add({});
  bytes_limit_ = &server::GaugeFamily(registry, "orchard_in_flight_bytes_limit",
                                      "Bytes of the pictures in progress at most.")
                      .Add({});
  callers_ =
      &server::GaugeFamily(registry, "orchard_callers", "Callers with a request in progress.")
           .Add({});
  margin_ =
      &server::GaugeFamily(registry, "orchard_wait_margin", "What a judged wait is multiplied by.")
           .Add({});
}

void AdmissionMetrics::SetBytesLimit(std::uint64_t bytes) {
  bytes_limit_->Set(static_cast<double>(bytes));
}

void AdmissionMetrics::Refused(const absl::Status& status) {
  if (const std::optional<Shed> reason = ShedBy(status)) {
    shed_[static_cast<size_t>(*reason)]->Increment();
  }
}

void AdmissionMetrics::Refresh(const Load& load) {
  bytes_->Set(static_cast<double>(load.bytes));
  callers_->Set(static_cast<double>(load.callers));
  estimates_[0]->Set(load.estimates.decode_seconds);
  estimates_[1]->Set(load.estimates.encode_alpha_seconds);
  estimates_[2]->Set(load.estimates.encode_picture_seconds);
  estimates_[3]->Set(load.estimates.experts_seconds);
  margin_->Set(load.estimates.wait_margin);
}

}  // namespace orchard::router
