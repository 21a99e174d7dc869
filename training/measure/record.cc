#include "training/measure/record.h"

#include "core/status.h"
#include "model/manifest.h"
#include "model/store.h"
#include "training/measure/provenance.h"

namespace orchard::training {
namespace {

namespace fs = std::filesystem;
namespace wire = orchard::v1;

void Set(wire::Proportion& proportion, const Hits& hits) {
  proportion.set_hits(static_cast<std::uint32_t>(hits.hits));
  proportion.set_total(static_cast<std::uint32_t>(hits.total));
}

}  // namespace

void RecordIn(wire::Evaluation& e, const Report& report) {
  e.set_data(report.data);
  e.set_policy(report.policy);
  Set(*e.mutable_branch(), report.branch);
  Set(*e.mutable_domain(), report.domain);
  Set(*e.mutable_domain_in_branch(), report.domain_in_branch);
  e.clear_domains();
  for (const DomainReport& domain : report.domains) {
    if (domain.routed.total == 0) continue;  // Without a picture nothing was measured.
    wire::DomainEvaluation& d = *e.add_domains();
    d.set_domain(domain.name);
    if (domain.encoder_only.total > 0) Set(*d.mutable_encoder_only(), domain.encoder_only);
    Set(*d.mutable_oracle(), domain.oracle);
    Set(*d.mutable_gate1_oracle(), domain.gate1_oracle);
    Set(*d.mutable_routed(), domain.routed);
    Set(*d.mutable_routed_concept(), domain.routed_concept);
  }
  e.set_mean_accuracy(report.mean);
  e.set_mean_concept(report.mean_by_concept);
  e.set_mean_experts(report.experts);
  e.set_calibration_error(report.calibration_error);
  Set(*e.mutable_known_accepted(), report.known_accepted);
  if (!report.has_unknown) return;
  e.set_unknown_auroc(report.unknown_auroc);
  e.set_unknown_fpr95(report.unknown_fpr95);
  Set(*e.mutable_unknown_rejected(), report.unknown_rejected);
}

absl::Status Record(const fs::path& model, const Report& report) {
  ORCHARD_ASSIGN_OR_RETURN(const fs::path folder, model::ResolveVersion(model));
  ORCHARD_ASSIGN_OR_RETURN(wire::ModelManifest manifest, model::ReadManifest(folder));
  RecordIn(*manifest.mutable_evaluation(), report);
  ORCHARD_RETURN_IF_ERROR(model::WriteManifest(folder, manifest));
  return UpdateProvenance(folder, manifest.evaluation());
}

}  // namespace orchard::training
