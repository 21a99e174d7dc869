#include "router/config.h"

#include <array>
#include <sstream>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "core/status.h"
#include "core/text.h"
#include "core/units.h"
#include "experts/target.h"
#include "model/manifest.h"
#include "model/store.h"
#include "vision/sniff.h"

namespace orchard::router {
namespace {

using vision::Format;

constexpr std::array kFormats = {Format::kJpeg, Format::kPng, Format::kWebp, Format::kBmp,
                                 Format::kPpm};

std::optional<Format> FormatOf(const std::string& name) {
  for (const Format format : kFormats) {
    if (vision::Name(format) == name) return format;
  }
  return std::nullopt;
}

absl::Status CheckFormat(const std::string& name) {
  if (FormatOf(name)) return absl::OkStatus();
  std::string names;
  for (const Format format : kFormats) {
    absl::StrAppend(&names, names.empty() ? "" : ", ", std::string(vision::Name(format)));
  }
  return absl::InvalidArgumentError(absl::StrCat("is not one of ", names));
}

absl::Status CheckExpert(const std::string& text) {
  const size_t equals = text.find('=');
  if (equals != std::string::npos && equals > 0 && equals + 1 < text.size()) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError("is not [MODEL/]DOMAIN=TARGET[,TARGET]");
}

/// "NAME=DIR" or "DIR": a folder may have a '=' behind a '/'.
std::pair<std::string, std::string> NameAndFolder(const std::string& text) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || text.find('/') < equals) return {"", text};
  return {text.substr(0, equals), text.substr(equals + 1)};
}

absl::Status CheckModel(const std::string& text) {
  const auto [name, folder] = NameAndFolder(text);
  if (folder.empty()) return absl::InvalidArgumentError("names no folder, must be [NAME=]DIR");
  if (text.size() == folder.size() || model::IsName(name)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("calls the model \"", name, "\": a name is letters, digits, '_' and '-'"));
}

/// PINNED needs a domain, which is the caller's to name.
std::vector<std::pair<std::string, moe::PolicyKind>> DefaultPolicies() {
  std::vector<std::pair<std::string, moe::PolicyKind>> choices;
  for (const moe::PolicyKind kind : moe::AllPolicies()) {
    if (kind != moe::PolicyKind::kPinned) choices.emplace_back(moe::Name(kind), kind);
  }
  return choices;
}

}  // namespace

Config::Config(const server::Allowance& allowed) : allowance(allowed) {
  max_decode_bytes = server::AtMostForDecoding(allowance, max_decode_bytes);
  in_flight_bytes = server::PictureBytes(allowance);
  encode_workers = server::DivideWorkers(allowance, max_decode_bytes).encode;
}

/// As many as there would be had the machine as many cores as there are encoders.
size_t DecodeWorkers(const Config& config) {
  if (config.decode_workers) return *config.decode_workers;
  server::Allowance allowance = config.allowance;
  allowance.cpus = static_cast<double>(config.encode_workers);
  return server::DivideWorkers(allowance, config.max_decode_bytes).decode;
}

std::string MemoryWarning(const Config& config) {
  const std::optional<std::uint64_t> share = server::DecodingBytes(config.allowance);
  const std::uint64_t bytes = DecodeWorkers(config) * config.max_decode_bytes;
  if (!share || bytes <= *share) return "";
  return absl::StrCat("--decode-workers of ", DecodeWorkers(config), " may take ",
                      core::HumanBytes(bytes), " (--max-decode-bytes ",
                      core::HumanBytes(config.max_decode_bytes), " each), and a quarter of the ",
                      core::HumanBytes(*config.allowance.memory), " that this process may use is ",
                      core::HumanBytes(*share),
                      ": lower one of them, or raise the limit of the memory");
}

void Declare(server::Settings& settings, Config& config) {
  server::DeclareProcess(settings, config.process);
  settings.Section("Model and experts");
  settings
      .Add("model", config.models,
           "A model's version folder, or a folder of versions, of which the highest is taken; may "
           "be given several times. NAME is what requests call it, otherwise the name in its "
           "manifest. A request that names no model means the first.")
      .Must(CheckModel)
      .Placeholder("[NAME=]DIR")
      .DefaultText("models/default, found from the executable");
  settings.AddChoice("default-policy", config.default_policy, DefaultPolicies(),
                     "Which experts are asked when the caller does not say.");
  settings
      .Add("expert", config.experts,
           "Where a domain's expert is: HOST:PORT, or dns:///NAME:PORT for every address behind a "
           "name. With none, all experts run in this process; with any, domains without one are "
           "down.")
      .Must(CheckExpert)
      .Placeholder("[MODEL/]DOMAIN=TARGET[,TARGET]");
  settings
      .Add("expert-timeout", config.expert_timeout,
           "What one expert has for its answer; never more than the picture has.")
      .Range(std::chrono::milliseconds(1), std::chrono::hours(1));
  settings
      .Add("expert-in-flight", config.expert_in_flight,
           "Pictures that wait for one domain's expert elsewhere; with one more it is missing.")
      .Range(1, 65536)
      .DefaultText("a quarter of in-flight");
  settings
      .Add(
          "cold-start-wait", config.cold_start_wait,
          "How long a picture may wait for a domain that has no address yet, until its expert is "
          "started; never so long that no time is left for an answer without it. 0s: the domain is "
          "missing at once.")
      .Range(std::chrono::milliseconds(0), std::chrono::minutes(10));
  settings
      .Add("expert-tls-ca", config.expert_tls.ca,
           "Authorities of the experts' certificates, in PEM form. With any of --expert-tls-… "
           "connections to experts are TLS.")
      .Placeholder("FILE")
      .DefaultText("the system's, when TLS is wanted");
  settings
      .Add("expert-tls-cert", config.expert_tls.cert,
           "Our certificate towards experts that ask for one (their --tls-client-ca).")
      .Placeholder("FILE")
      .DefaultText("none");
  settings.Add("expert-tls-key", config.expert_tls.key, "Its private key.")
      .Placeholder("FILE")
      .DefaultText("none");
  settings
      .Add("expert-tls-name", config.expert_tls.name,
           "The name that the certificate of every expert must have, when it is not the host that "
           "--expert names.")
      .Placeholder("NAME")
      .DefaultText("the host of each address");
  settings.Rule([&config] {
    const rpc::TlsFiles& tls = config.expert_tls;
    if (tls.cert.empty() == tls.key.empty()) return absl::OkStatus();
    return absl::InvalidArgumentError(
        "--expert-tls-cert, --expert-tls-key: a certificate and its key come together");
  });
  settings.Add("dns-interval", config.dns_interval, "Between two look-ups of an expert's name.")
      .Range(std::chrono::milliseconds(100), std::chrono::hours(1));
  settings
      .Add("expert-subset", config.expert_subset,
           "Addresses of a domain's expert to connect to at most, of those that can be used; each "
           "router chooses others. 0: all.")
      .Range(0, 65536);
  settings.AddChoice("hedge", config.hedge, {{"auto", true}, {"off", false}},
                     "Whether a late call to an expert is joined by one to another address.");
  settings.Section("Pictures");
  settings.AddBytes("max-image-bytes", config.max_image_bytes, "Largest file.")
      .Range(1024, std::uint64_t{1} << 30);
  settings.Add("max-pixels", config.max_pixels, "Largest width times height, read from the header.")
      .Range(1, 1'000'000'000);
  settings
      .AddBytes("max-decode-bytes", config.max_decode_bytes,
                "Most memory that decoding a picture may take, estimated from its headers.")
      .Range(1 << 20, std::uint64_t{1} << 36)
      .DefaultText("256MiB, or a quarter of the memory where that is less");
  settings.Add("formats", config.formats, "What is accepted: jpeg, png, webp, bmp, ppm.")
      .Must(CheckFormat)
      .Placeholder("FORMAT");
  settings.Section("Load");
  settings
      .Add(
          "in-flight", config.in_flight,
          "Requests in progress; one more is refused, or takes the place of one that waits and has "
          "a lesser right to it.")
      .Range(1, 65536);
  settings.Add("queue", config.queue, "Requests that wait to be decoded; one more is refused.")
      .Range(1, 65536);
  settings
      .AddBytes("in-flight-bytes", config.in_flight_bytes,
                "Files of the requests in progress, and decoded pictures that are kept for experts "
                "that look at them; a file that goes beyond is refused, unless it is alone.")
      .Range(1024, std::uint64_t{1} << 42)
      .DefaultText("a quarter of the memory that the process may use");
  settings.Add("decode-workers", config.decode_workers, "Threads that decode.")
      .Range(1, 256)
      .DefaultText("as many as encode workers, fewer where memory is short");
  settings.Add("encode-workers", config.encode_workers, "Threads that run the encoder.")
      .Range(1, 256)
      .DefaultText("the cores that the process may use");
  settings.AddChoice("encoder-precision", config.encoder_precision, model::NamedEncoderPrecisions(),
                     "How the encoder multiplies; auto: bf16 where the CPU has it in hardware.");
  settings.Add("max-batch", config.max_batch, "Pictures that one forward pass takes at most.")
      .Range(1, 256)
      .OwnVariable("ORCHARD_ROUTER_MAX_BATCH");
  settings
      .Add("stream-in-flight", config.stream_in_flight,
           "Requests in progress per stream; it reads no further with so many.")
      .Range(1, 4096);
  settings.Add("default-deadline", config.default_deadline, "Of a call that has none of its own.")
      .Range(std::chrono::milliseconds(1), std::chrono::hours(1));
  settings.Section("Scaling of experts");
  settings
      .Add("target-utilisation", config.target_utilisation,
           "How busy replicas of an expert are to be, of what they can do.")
      .Range(0.01, 1.0);
  settings
      .Add("demand-window", config.demand_window,
           "For how long the demand for an expert is remembered.")
      .Range(std::chrono::seconds(1), std::chrono::hours(1));
  settings.Rule([&config] {
    if (config.cold_start_wait <= config.demand_window) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat(
        "--cold-start-wait, --demand-window: a picture that waits longer (",
        core::FormatDuration(config.cold_start_wait), ") than its demand is remembered (",
        core::FormatDuration(config.demand_window),
        ") would no longer keep its expert's start going; raise --demand-window"));
  });
  settings
      .Add("router-peers", config.router_peers,
           "The routers of this fleet, whose demand is added to ours when an autoscaler asks: "
           "HOST:PORT, or dns:///NAME:PORT for every address behind a name. This one may be among "
           "them.")
      .Must([](const std::string& text) { return experts::ParseTargets(text).status(); })
      .Placeholder("TARGET[,TARGET]")
      .DefaultText("none");
}

absl::StatusOr<std::vector<std::string>> ReadExperts(
    const std::vector<std::string>& arguments, const server::Settings::Environment& environment) {
  Config config;
  server::Settings settings("orchard-router", "", "");
  Declare(settings, config);
  std::ostringstream ignored;
  ORCHARD_RETURN_IF_ERROR(settings.Parse(arguments, environment, ignored).status());
  return config.experts;
}

namespace {

absl::StatusOr<std::vector<ModelSource>> SourcesOf(const Config& config) {
  std::vector<ModelSource> sources;
  for (const std::string& text : config.models) {
    const auto [name, folder] = NameAndFolder(text);
    ORCHARD_ASSIGN_OR_RETURN(std::filesystem::path version, model::ResolveVersion(folder));
    sources.push_back({.name = name, .version_dir = std::move(version)});
  }
  if (!sources.empty()) return sources;
  ORCHARD_ASSIGN_OR_RETURN(const std::filesystem::path usual, model::DefaultModel());
  ORCHARD_ASSIGN_OR_RETURN(std::filesystem::path version, model::ResolveVersion(usual));
  sources.push_back({.name = "", .version_dir = std::move(version)});
  return sources;
}

}  // namespace

absl::StatusOr<Engine::Config> EngineConfigOf(const Config& config) {
  Engine::Config engine;
  ORCHARD_ASSIGN_OR_RETURN(engine.models, SourcesOf(config));
  engine.experts = config.experts;
  engine.expert_in_flight = config.expert_in_flight;
  engine.pipeline.expert_timeout = config.expert_timeout;
  engine.cold_start_wait = config.cold_start_wait;
  engine.dns_interval = config.dns_interval;
  engine.expert_subset = config.expert_subset;
  engine.hedge = config.hedge;
  engine.encoder_precision = config.encoder_precision;
  engine.pipeline.limits = {.max_bytes = config.max_image_bytes,
                            .max_pixels = config.max_pixels,
                            .max_decode_bytes = config.max_decode_bytes,
                            .formats = {}};
  for (const std::string& name : config.formats) {
    engine.pipeline.limits.formats.push_back(*FormatOf(name));
  }
  engine.pipeline.default_policy = config.default_policy;
  engine.pipeline.default_deadline = config.default_deadline;
  engine.pipeline.in_flight = config.in_flight;
  engine.pipeline.queue = config.queue;
  engine.pipeline.in_flight_bytes = config.in_flight_bytes;
  engine.pipeline.decode_workers = DecodeWorkers(config);
  engine.pipeline.encode_workers = config.encode_workers;
  engine.pipeline.max_batch = config.max_batch;
  engine.demand = {.window = config.demand_window, .target_utilisation = config.target_utilisation};
  return engine;
}

}  // namespace orchard::router
