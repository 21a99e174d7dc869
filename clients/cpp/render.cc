#include "clients/cpp/render.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

#include "clients/cpp/display.h"
#include "clients/cpp/policy.h"
#include "core/printable.h"
#include "core/text.h"
#include "nlohmann/json.hpp"

namespace orchard::client {
namespace {

using Json = nlohmann::ordered_json;

Json Predictions(const v1::ClassifyResponse& response) {
  Json list = Json::array();
  for (const v1::Prediction& prediction : response.predictions()) {
    list.push_back({{"label", prediction.label()},
                    {"domain", prediction.domain()},
                    {"probability", prediction.probability()},
                    {"conditional", prediction.conditional()}});
  }
  return list;
}

Json Concepts(const v1::ClassifyResponse& response) {
  Json list = Json::array();
  for (const auto& entry : response.concepts()) {
    list.push_back({{"label", entry.label()}, {"probability", entry.probability()}});
  }
  return list;
}

Json Routing(const v1::Routing& routing) {
  Json domains = Json::array();
  for (const v1::DomainRouting& domain : routing.domains()) {
    domains.push_back({{"domain", domain.domain()},
                       {"probability", domain.probability()},
                       {"activated", domain.activated()},
                       {"answered", domain.answered()},
                       {"missing_reason", domain.missing_reason()}});
  }
  return {{"policy", v1::Policy_Name(routing.policy())},
          {"branch", routing.branch()},
          {"branch_probability", routing.branch_probability()},
          {"domains", domains}};
}

Json Stages(const v1::StageTimings& timings) {
  return {{"decode", timings.decode_ms()},
          {"queue", timings.queue_ms()},
          {"encode", timings.encode_ms()},
          {"experts", timings.experts_ms()},
          {"combine", timings.combine_ms()}};
}

/// "rice (timeout)": a domain that is missing, and why, where the answer says it.
std::string Missing(const v1::ClassifyResponse& response, const std::string& domain) {
  for (const v1::DomainRouting& routing : response.routing().domains()) {
    if (routing.domain() == domain && !routing.missing_reason().empty()) {
      return absl::StrCat(domain, " (", routing.missing_reason(), ")");
    }
  }
  return domain;
}

std::string OutcomeText(const v1::ClassifyResponse& response) {
  std::string text = v1::Outcome_Name(response.outcome());
  if (!response.degraded()) return text;
  std::vector<std::string> missing;
  for (const std::string& domain : response.missing()) missing.push_back(Missing(response, domain));
  return absl::StrCat(text, "  degraded, missing: ", absl::StrJoin(missing, ", "));
}

/// A column: `text` shown as text, filled with spaces.
std::string Cell(const std::string& text, size_t columns) {
  return PadTo(core::Printable(text), columns);
}

Json Endpoints(const v1::DomainDescription& domain) {
  Json list = Json::array();
  for (const v1::EndpointDescription& endpoint : domain.endpoints()) {
    list.push_back({{"address", endpoint.address()},
                    {"state", endpoint.state()},
                    {"in_flight", endpoint.in_flight()},
                    {"latency_ms", endpoint.latency_ms()},
                    {"part_version", endpoint.part_version()},
                    {"fingerprint", endpoint.fingerprint()}});
  }
  return list;
}

double Percent(const v1::Proportion& proportion) {
  return proportion.total() == 0 ? 0.0 : 100.0 * proportion.hits() / proportion.total();
}

Json Measured(const v1::Proportion& proportion) {
  return {{"hits", proportion.hits()}, {"total", proportion.total()}};
}

Json EvaluationJson(const v1::Evaluation& evaluation) {
  Json domains = Json::array();
  for (const v1::DomainEvaluation& domain : evaluation.domains()) {
    domains.push_back({{"domain", domain.domain()},
                       {"encoder_only", Measured(domain.encoder_only())},
                       {"oracle", Measured(domain.oracle())},
                       {"gate1_oracle", Measured(domain.gate1_oracle())},
                       {"routed", Measured(domain.routed())},
                       {"routed_concept", Measured(domain.routed_concept())}});
  }
  return {{"data", evaluation.data()},
          {"policy", evaluation.policy()},
          {"branch", Measured(evaluation.branch())},
          {"domain", Measured(evaluation.domain())},
          {"domain_in_branch", Measured(evaluation.domain_in_branch())},
          {"domains", domains},
          {"mean_accuracy", evaluation.mean_accuracy()},
          {"mean_concept", evaluation.mean_concept()},
          {"mean_experts", evaluation.mean_experts()},
          {"calibration_error", evaluation.calibration_error()},
          {"unknown_auroc", evaluation.unknown_auroc()},
          {"unknown_fpr95", evaluation.unknown_fpr95()},
          {"unknown_rejected", Measured(evaluation.unknown_rejected())},
          {"known_accepted", Measured(evaluation.known_accepted())}};
}

Json ConceptAliases(const v1::ModelDescription& model) {
  Json list = Json::array();
  for (const v1::ConceptAlias& alias : model.concepts()) {
    list.push_back(
        {{"domain", alias.domain()}, {"label", alias.label()}, {"concept", alias.concept_label()}});
  }
  return list;
}

/// Every model of the server; of one that does not say, the one that it describes.
std::vector<v1::ModelName> ModelsOf(const v1::ModelDescription& model) {
  if (model.models_size() > 0) return {model.models().begin(), model.models().end()};
  v1::ModelName only;
  only.set_name(model.name());
  only.set_version(model.version());
  for (const v1::DomainDescription& domain : model.domains()) only.add_domains(domain.name());
  return {only};
}

Json Threshold(bool given, double value) { return given ? Json(value) : Json(nullptr); }

}  // namespace

std::string AnswerJson(const std::string& file, const v1::ClassifyResponse& response,
                       double latency_ms) {
  const Json answer = {
      {"file", file},
      {"predictions", Predictions(response)},
      {"concepts", Concepts(response)},
      {"routing", Routing(response.routing())},
      {"coverage", response.coverage()},
      {"exact", response.exact()},
      {"outcome", v1::Outcome_Name(response.outcome())},
      {"degraded", response.degraded()},
      {"missing", std::vector<std::string>(response.missing().begin(), response.missing().end())},
      {"unknown_score", response.unknown_score()},
      {"model_version", response.model_version()},
      {"latency_ms", latency_ms},
      {"stages_ms", Stages(response.timings())}};
  // File names need not be UTF-8; a line must come out all the same.
  return core::PrintableJson(
      answer.dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace));
}

size_t FileWidth(const std::string& file) { return DisplayWidth(core::Printable(file)); }

std::string AnswerHeading(size_t file_width) {
  return absl::StrFormat("%s  %-20s  %6s  %-14s  %s", PadTo("file", file_width), "class", "prob.",
                         "domain", "outcome");
}

std::string AnswerLine(const std::string& file, const v1::ClassifyResponse& response,
                       size_t file_width) {
  const v1::Prediction first =
      response.predictions().empty() ? v1::Prediction() : response.predictions(0);
  return absl::StrFormat("%s  %s  %6.4f  %s  %s", Cell(file, file_width), Cell(first.label(), 20),
                         first.probability(), Cell(first.domain(), 14),
                         core::Printable(OutcomeText(response)));
}

std::string DescriptionJson(const v1::ModelDescription& model) {
  Json domains = Json::array();
  for (const v1::DomainDescription& domain : model.domains()) {
    domains.push_back(
        {{"name", domain.name()},
         {"branch", domain.branch()},
         {"classes", std::vector<std::string>(domain.classes().begin(), domain.classes().end())},
         {"version", domain.version()},
         {"available", domain.available()},
         {"endpoints", Endpoints(domain)}});
  }
  const v1::ClassifyDefaults& defaults = model.defaults();
  const v1::ClassifyLimits& limits = model.limits();
  const v1::Abstention& abstention = model.abstention();
  const Json description = {
      {"name", model.name()},
      {"version", model.version()},
      {"encoder_fingerprint", model.encoder_fingerprint()},
      {"branches", std::vector<std::string>(model.branches().begin(), model.branches().end())},
      {"domains", domains},
      {"concepts", ConceptAliases(model)},
      {"abstention",
       {{"unknown_threshold",
         Threshold(abstention.has_unknown_threshold(), abstention.unknown_threshold())},
        {"confidence_threshold",
         Threshold(abstention.has_confidence_threshold(), abstention.confidence_threshold())}}},
      {"defaults",
       {{"policy", v1::Policy_Name(defaults.policy())},
        {"k", defaults.k()},
        {"threshold_tau", defaults.threshold_tau()},
        {"nucleus_tau", defaults.nucleus_tau()},
        {"top", defaults.top()},
        {"deadline_seconds", defaults.deadline_seconds()}}},
      {"limits",
       {{"max_image_bytes", limits.max_image_bytes()},
        {"max_pixels", limits.max_pixels()},
        {"max_side", limits.max_side()},
        {"max_decode_bytes", limits.max_decode_bytes()},
        {"max_stream_in_flight", limits.max_stream_in_flight()},
        {"formats", std::vector<std::string>(limits.formats().begin(), limits.formats().end())}}},
      {"evaluation", EvaluationJson(model.evaluation())}};
  return core::PrintableJson(
      description.dump(2, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace));
}

std::string DescriptionText(const v1::ModelDescription& model) {
  std::string text = absl::StrFormat("model %s/%s, encoder %s\n\n", core::Printable(model.name()),
                                     core::Printable(model.version()),
                                     core::Printable(model.encoder_fingerprint()));
  absl::StrAppendFormat(&text, "%-16s  %-12s  %7s  %s\n", "domain", "branch", "classes", "");
  for (const v1::DomainDescription& domain : model.domains()) {
    absl::StrAppendFormat(&text, "%s  %s  %7d  %s\n", Cell(domain.name(), 16),
                          Cell(domain.branch(), 12), domain.classes_size(),
                          domain.available() ? "" : "not available");
  }
  const v1::ClassifyDefaults& defaults = model.defaults();
  const v1::ClassifyLimits& limits = model.limits();
  absl::StrAppendFormat(&text, "\ndefault policy %s; pictures up to %s and %.1f megapixels (%s)\n",
                        PolicyName(defaults.policy()), core::HumanBytes(limits.max_image_bytes()),
                        static_cast<double>(limits.max_pixels()) / 1e6,
                        core::Printable(absl::StrJoin(limits.formats(), ", ")));
  const v1::Evaluation& evaluation = model.evaluation();
  if (evaluation.domains().empty()) return text;
  absl::StrAppendFormat(&text, "\nmeasured on %s\n", core::Printable(evaluation.data()));
  for (const v1::DomainEvaluation& domain : evaluation.domains()) {
    absl::StrAppendFormat(&text, "  %s  %5.1f %%  (%d of %d)\n", Cell(domain.domain(), 16),
                          Percent(domain.routed()), domain.routed().hits(),
                          domain.routed().total());
  }
  absl::StrAppendFormat(&text, "  %-16s  %5.1f %%, by concept %.1f %%\n", "mean",
                        100.0 * evaluation.mean_accuracy(), 100.0 * evaluation.mean_concept());
  return text;
}

std::string ModelsJson(const v1::ModelDescription& model) {
  Json models = Json::array();
  for (const v1::ModelName& one : ModelsOf(model)) {
    models.push_back(
        {{"name", one.name()},
         {"version", one.version()},
         {"domains", std::vector<std::string>(one.domains().begin(), one.domains().end())}});
  }
  return core::PrintableJson(Json{{"models", models}}.dump(2, ' ', /*ensure_ascii=*/false,
                                                           Json::error_handler_t::replace));
}

std::string ModelsText(const v1::ModelDescription& model) {
  const std::vector<v1::ModelName> models = ModelsOf(model);
  size_t width = 5;
  for (const v1::ModelName& one : models) width = std::max(width, FileWidth(one.name()));
  std::string text = absl::StrFormat("%s  %-7s  %s\n", PadTo("model", width), "version", "domains");
  for (const v1::ModelName& one : models) {
    absl::StrAppendFormat(&text, "%s  %s  %s\n", Cell(one.name(), width), Cell(one.version(), 7),
                          core::Printable(absl::StrJoin(one.domains(), ", ")));
  }
  return text;
}

std::string EndpointsText(const v1::ModelDescription& model) {
  size_t address_width = 21;
  for (const v1::DomainDescription& domain : model.domains()) {
    for (const auto& endpoint : domain.endpoints()) {
      address_width = std::max(address_width, FileWidth(endpoint.address()));
    }
  }
  std::string text = absl::StrFormat("%-16s  %s  %-10s  %9s  %10s  %-12s  %s\n", "domain",
                                     PadTo("expert", address_width), "state", "in flight",
                                     "latency", "part", "encoder");
  for (const v1::DomainDescription& domain : model.domains()) {
    if (domain.endpoints().empty()) {
      absl::StrAppendFormat(&text, "%s  %s\n", Cell(domain.name(), 16),
                            domain.available() ? "inside the server" : "none");
    }
    for (const v1::EndpointDescription& endpoint : domain.endpoints()) {
      absl::StrAppendFormat(&text, "%s  %s  %s  %9d  %7.1f ms  %s  %s\n", Cell(domain.name(), 16),
                            Cell(endpoint.address(), address_width), Cell(endpoint.state(), 10),
                            endpoint.in_flight(), endpoint.latency_ms(),
                            Cell(endpoint.part_version(), 12),
                            core::Printable(endpoint.fingerprint()));
    }
  }
  return text;
}

}  // namespace orchard::client
