#include "training/measure/report.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include <nlohmann/json.hpp>

#include "core/printable.h"

namespace orchard::training {
namespace {

using nlohmann::ordered_json;

/// "203/210 .967 (.932-.984)"; "-" without a trial.
std::string Cell(const Hits& hits) {
  if (hits.total == 0) return "-";
  const Interval interval = Wilson(hits.hits, hits.total);
  return absl::StrFormat("%d/%d %.3f (%.3f-%.3f)", hits.hits, hits.total, hits.Share(),
                         interval.low, interval.high);
}

std::string PairedCell(const DomainReport& domain) {
  const Paired& paired = domain.routed_against_encoder_only;
  if (paired.total == 0) return "-";
  const Interval interval = paired.DifferenceInterval(domain.routed.hits, domain.encoder_only.hits);
  return absl::StrFormat("%+.3f (%+.3f to %+.3f) p=%.2f", paired.Difference(), interval.low,
                         interval.high, paired.McNemar());
}

/// What has no trial was not measured, and is null.
ordered_json Json(const Hits& hits) {
  if (hits.total == 0) return nullptr;
  const Interval interval = Wilson(hits.hits, hits.total);
  return {{"hits", hits.hits},
          {"total", hits.total},
          {"share", hits.Share()},
          {"low", interval.low},
          {"high", interval.high}};
}

ordered_json PairedJson(const DomainReport& domain) {
  const Paired& paired = domain.routed_against_encoder_only;
  if (paired.total == 0) return nullptr;
  const Interval interval = paired.DifferenceInterval(domain.routed.hits, domain.encoder_only.hits);
  return {{"difference", paired.Difference()},
          {"low", interval.low},
          {"high", interval.high},
          {"only_routed", paired.only_first},
          {"only_encoder_only", paired.only_second},
          {"mcnemar_p", paired.McNemar()}};
}

ordered_json Json(const DomainReport& domain) {
  return {{"name", domain.name},
          {"encoder_only", Json(domain.encoder_only)},
          {"oracle", Json(domain.oracle)},
          {"gate1_oracle", Json(domain.gate1_oracle)},
          {"routed", Json(domain.routed)},
          {"routed_concept", Json(domain.routed_concept)},
          {"routed_minus_encoder_only", PairedJson(domain)}};
}

ordered_json IfMeasured(bool measured, double value) {
  return measured ? ordered_json(value) : ordered_json(nullptr);
}

std::string DomainTable(const Report& report) {
  std::string text = absl::StrFormat("%-15s %-26s %-26s %-26s %-26s %-26s %s\n", "domain",
                                     "only encoder", "expert, true domain", "Gate1 + that expert",
                                     "routed", "routed, by concept", "routed - only encoder");
  for (const DomainReport& domain : report.domains) {
    absl::StrAppendFormat(&text, "%-15s %-26s %-26s %-26s %-26s %-26s %s\n", domain.name,
                          Cell(domain.encoder_only), Cell(domain.oracle), Cell(domain.gate1_oracle),
                          Cell(domain.routed), Cell(domain.routed_concept), PairedCell(domain));
  }
  return text;
}

/// What the figures are not about; empty when everything has a picture.
std::string MissingText(const Report& report) {
  std::string text;
  if (!report.domains_without_pictures.empty()) {
    absl::StrAppend(&text, "domains without a picture, left out of the means: ",
                    absl::StrJoin(report.domains_without_pictures, ", "), "\n");
  }
  if (!report.classes_without_pictures.empty()) {
    absl::StrAppend(&text, "classes without a picture: ",
                    core::Printable(absl::StrJoin(report.classes_without_pictures, ", ")), "\n");
  }
  return text;
}

std::string PolicyTable(const Report& report) {
  std::string text =
      absl::StrFormat("\n%-15s %-26s %-10s %s\n", "policy", "right", "mean", "experts asked");
  for (const PolicyReport& policy : report.policies) {
    absl::StrAppendFormat(&text, "%-15s %-26s %-10.4f %.3f\n", policy.name, Cell(policy.right),
                          policy.mean, policy.experts);
  }
  return text;
}

}  // namespace

std::string ToText(const Report& report) {
  std::string text =
      absl::StrFormat("model %s, %s, policy %s\n\n", report.model, report.data, report.policy);
  absl::StrAppend(&text, DomainTable(report), MissingText(report));
  absl::StrAppendFormat(&text,
                        "\nmean %.4f, by concept %.4f\nGate1 %s\n"
                        "Gate2, of those with the branch right %s\nboth (domain) %s\n"
                        "calibration error of the joint: %.4f (15 equal-mass bins), %.4f (15 of "
                        "equal width)\nexperts asked a picture: %.3f of %d\n",
                        report.mean, report.mean_by_concept, Cell(report.branch),
                        Cell(report.domain_in_branch), Cell(report.domain),
                        report.calibration_error, report.calibration_error_width, report.experts,
                        report.all_experts);
  if (report.exact_equals_dense.total > 0) {
    absl::StrAppendFormat(&text, "EXACT gives DENSE's first class: %d/%d\n",
                          report.exact_equals_dense.hits, report.exact_equals_dense.total);
  }
  absl::StrAppendFormat(&text, "known accepted: %s\n", Cell(report.known_accepted));
  if (report.has_unknown) {
    absl::StrAppendFormat(&text,
                          "unknown rejected: %s\nunknown against known: AUROC %.4f; accepted where "
                          "95 %% of known are: %.4f\n",
                          Cell(report.unknown_rejected), report.unknown_auroc,
                          report.unknown_fpr95);
  }
  absl::StrAppend(&text, PolicyTable(report));
  return text;
}

std::string ToJson(const Report& report) {
  ordered_json json = {
      {"model", report.model},
      {"data", report.data},
      {"left_out", report.left_out},
      {"policy", report.policy},
      {"domains", ordered_json::array()},
      {"domains_without_pictures", report.domains_without_pictures},
      {"classes_without_pictures", report.classes_without_pictures},
      {"mean", report.mean},
      {"mean_by_concept", report.mean_by_concept},
      {"branch", Json(report.branch)},
      {"domain", Json(report.domain)},
      {"domain_in_branch", Json(report.domain_in_branch)},
      {"calibration_error", report.calibration_error},
      {"calibration_error_equal_width", report.calibration_error_width},
      {"experts_asked", report.experts},
      {"experts", report.all_experts},
      {"experts_asked_share", report.experts / static_cast<double>(report.all_experts)},
      {"exact_equals_dense", Json(report.exact_equals_dense)},
      {"known_accepted", Json(report.known_accepted)},
      {"unknown_rejected", Json(report.unknown_rejected)},
      {"unknown_auroc", IfMeasured(report.has_unknown, report.unknown_auroc)},
      {"unknown_fpr95", IfMeasured(report.has_unknown, report.unknown_fpr95)},
      {"policies", ordered_json::array()}};
  for (const DomainReport& domain : report.domains) json["domains"].push_back(Json(domain));
  for (const PolicyReport& policy : report.policies) {
    json["policies"].push_back({{"name", policy.name},
                                {"right", Json(policy.right)},
                                {"mean", policy.mean},
                                {"experts_asked", policy.experts}});
  }
  return json.dump(2) + "\n";
}

}  // namespace orchard::training
