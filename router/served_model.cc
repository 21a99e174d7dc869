#include "router/served_model.h"

#include <utility>

namespace orchard::router {

ServedModel::ServedModel(Parts parts, core::TimerQueue& timers)
    : parts_(std::move(parts)),
      experts_(parts_.experts, std::move(parts_.fleet), timers, parts_.metrics->cold()) {}

ServedModel::~ServedModel() { parts_.demand.reset(); }  // Its thread asks the fleet.

void ServedModel::RefreshMetrics(core::Clock::time_point now) {
  parts_.metrics->Refresh(now);
  if (parts_.fleet_metrics) parts_.fleet_metrics->Refresh(fleet());
  if (parts_.demand_metrics) parts_.demand_metrics->Refresh(parts_.demand->Own());
}

}  // namespace orchard::router
