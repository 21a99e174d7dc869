#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "core/clock.h"
#include "core/tensor.h"
#include "core/timer_queue.h"
#include "orchard/v1/model.pb.h"
#include "router/catalogue.h"
#include "router/demand_board.h"
#include "router/demand_metrics.h"
#include "router/encoded.h"
#include "router/fleet_metrics.h"
#include "router/held_picture.h"
#include "router/model_experts.h"
#include "router/model_metrics.h"
#include "vision/vision.h"

namespace orchard::router {

/// One model as a router serves it: what a request holds from its admission to its answer. The
/// pipeline is what all models share. Thread-safe once made.
///
/// Owners are the registry, which a reload would give another one, and every request in progress.
class ServedModel {
 public:
  struct Parts {
    v1::ModelManifest manifest = {};  ///< what callers are told of it, under the name it has here
    Catalogue catalogue = {};
    /// What the encoder sees of a picture; absent: there is no encoder.
    std::optional<vision::Profile> profile = std::nullopt;
    /// How experts that look at pictures see them: each way once.
    std::vector<PictureView> picture_views = {};
    /// By domain: of `picture_views`; absent where the expert reads features.
    std::vector<std::optional<size_t>> picture_view_of = {};
    /// By domain: which features it reads, where it reads features.
    std::vector<core::FeatureKind> reads = {};
    Encode encode = nullptr;
    /// Its place among the models of the process, for estimates (estimates.h).
    size_t place = 0;
    std::unique_ptr<ModelMetrics> metrics = nullptr;
    // Where nothing is scaled and nothing is remote, as in tests, these three may be null.
    std::unique_ptr<FleetMetrics> fleet_metrics =
        nullptr;  ///< before the fleet, which counts in it
    std::unique_ptr<DemandMetrics> demand_metrics = nullptr;
    std::unique_ptr<DemandBoard> demand = nullptr;
    std::unique_ptr<ExpertFleet> fleet = nullptr;
    ModelExperts::Options experts = {};
  };

  /// `timers` end first: what it sets on them uses it.
  ServedModel(Parts parts, core::TimerQueue& timers);
  ~ServedModel();
  ServedModel(const ServedModel&) = delete;
  ServedModel& operator=(const ServedModel&) = delete;

  /// What requests and metrics call it: the manifest's name, or the one that the setting gave it.
  const std::string& name() const { return parts_.manifest.name(); }
  const v1::ModelManifest& manifest() const { return parts_.manifest; }
  const Catalogue& catalogue() const { return parts_.catalogue; }
  const std::optional<vision::Profile>& profile() const { return parts_.profile; }
  std::span<const PictureView> picture_views() const { return parts_.picture_views; }
  /// How the expert of a domain looks at pictures; nothing: it reads features.
  std::optional<size_t> PictureViewOf(size_t domain) const {
    return domain < parts_.picture_view_of.size() ? parts_.picture_view_of[domain] : std::nullopt;
  }
  /// Which features it reads otherwise.
  core::FeatureKind ReadsOf(size_t domain) const {
    return domain < parts_.reads.size() ? parts_.reads[domain] : core::FeatureKind::kPooled;
  }
  size_t place() const { return parts_.place; }
  ModelMetrics& metrics() { return *parts_.metrics; }
  ModelExperts& experts() { return experts_; }
  const ModelExperts& experts() const { return experts_; }
  ExpertFleet& fleet() { return experts_.fleet(); }
  const ExpertFleet& fleet() const { return experts_.fleet(); }
  /// Null where nobody counts what is wanted.
  DemandBoard* demand() { return parts_.demand.get(); }
  DemandMetrics* demand_metrics() { return parts_.demand_metrics.get(); }

  /// One forward pass, as Encode says.
  absl::StatusOr<Encoded> Run(std::span<const std::uint8_t> pixels, size_t rows) const {
    return parts_.encode(pixels, rows);
  }

  /// Before a scrape: what is read and not counted.
  void RefreshMetrics(core::Clock::time_point now);

 private:
  Parts parts_;  // Its fleet is the experts'.
  ModelExperts experts_;
};

}  // namespace orchard::router
