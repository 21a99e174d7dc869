#include "server/credentials.h"

#include <chrono>
#include <utility>

#include "core/status.h"
#include "server/limited_log.h"
#include "server/log.h"
#include "server/metrics.h"

namespace orchard::server {
namespace {

using prometheus::Counter;
using prometheus::Family;
using prometheus::Gauge;

void Set(Gauge* gauge, const std::optional<rpc::TlsPem::Time>& time) {
  if (gauge == nullptr || !time) return;
  gauge->Set(std::chrono::duration<double>(time->time_since_epoch()).count());
}

absl::Status CheckRules(const TlsSettings& tls) {
  const auto fault = [](const char* text) { return absl::InvalidArgumentError(text); };
  if (tls.cert.empty() != tls.key.empty()) {
    return fault(tls.key.empty() ? "--tls-cert: needs --tls-key, the certificate's private key"
                                 : "--tls-key: needs --tls-cert, the key's certificate");
  }
  if (tls.cert.empty() && !tls.client_ca.empty()) {
    return fault(
        "--tls-client-ca: needs --tls-cert and --tls-key: callers are asked for "
        "certificates within TLS");
  }
  if (tls.client_ca.empty() && !tls.client_names.empty()) {
    return fault(
        "--tls-client-name: needs --tls-client-ca: without it callers are not asked for "
        "certificates, and have no name");
  }
  if (tls.cert.empty() && (tls.http || tls.metrics)) {
    return fault("--http-tls, --metrics-tls: need --tls-cert and --tls-key");
  }
  return absl::OkStatus();
}

}  // namespace

void DeclareTls(Settings& settings, TlsSettings& tls, bool has_http) {
  settings.Section("TLS");
  settings
      .Add("tls-cert", tls.cert,
           "Our certificate in PEM form, followed by its intermediates. With it the gRPC port "
           "speaks TLS. Files are looked at every five seconds and on SIGHUP, and taken anew.")
      .Placeholder("FILE")
      .DefaultText("none: plain connections");
  settings.Add("tls-key", tls.key, "The certificate's private key, without a passphrase.")
      .Placeholder("FILE")
      .DefaultText("none");
  settings
      .Add(
          "tls-client-ca", tls.client_ca,
          "Authorities of callers, in PEM form. With it callers of the gRPC port, health included, "
          "must show a certificate of one of them.")
      .Placeholder("FILE")
      .DefaultText("none: callers are not asked for certificates");
  settings
      .Add("tls-client-name", tls.client_names,
           "A name that may call: one of the subject alternative names of the caller's "
           "certificate. Repeatable; with none, every certificate of --tls-client-ca may.")
      .Placeholder("NAME");
  if (has_http) {
    settings.Add("http-tls", tls.http,
                 "TLS on --http-listen too. Callers are never asked for certificates there.");
  }
  settings.Add("metrics-tls", tls.metrics,
               "TLS on --metrics-listen too. Callers are never asked for certificates there.");
  settings.Rule([&tls] { return CheckRules(tls); });
}

struct Credentials::Metrics {
  explicit Metrics(prometheus::Registry& registry)
      : not_after(GaugeFamily(registry, "orchard_tls_certificate_not_after_seconds",
                              "When the certificate in use ends, seconds since 1970; of "
                              "authorities the first to end.")),
        failures(CounterFamily(registry, "orchard_tls_reload_failures_total",
                               "Changes of TLS files that were not taken because they were wrong; "
                               "the former stay in use.")),
        refused(CounterFamily(
            registry, "orchard_tls_callers_refused_total",
            "Callers turned away because no name of their certificate is allowed.")) {}

  Family<Gauge>& not_after;
  Family<Counter>& failures;
  Family<Counter>& refused;
};

Credentials::Credentials(prometheus::Registry& registry)
    : metrics_(std::make_unique<Metrics>(registry)) {}

Credentials::~Credentials() = default;

absl::StatusOr<std::shared_ptr<rpc::TlsSource>> Credentials::Load(const std::string& cert_use,
                                                                  const std::string& ca_use,
                                                                  rpc::TlsFiles files) {
  Gauge* const cert = files.cert.empty() ? nullptr : &metrics_->not_after.Add({{"use", cert_use}});
  Gauge* const ca = files.ca.empty() ? nullptr : &metrics_->not_after.Add({{"use", ca_use}});
  Counter& failures = metrics_->failures.Add({{"use", cert_use}});
  rpc::TlsSource::Watch watch;
  watch.on_reload = [cert, ca, &failures, cert_use](const absl::Status& status,
                                                    const rpc::TlsPem& in_use) {
    if (!status.ok()) {
      failures.Increment();
      Log(LogLevel::kError, "tls_reload_failed",
          {{"use", cert_use},
           {"message", std::string(status.message())},
           {"remedy", "mend the file; the former certificates stay in use"}});
      return;
    }
    Set(cert, in_use.cert_not_after);
    Set(ca, in_use.ca_not_after);
    Log(LogLevel::kInfo, "tls_reloaded", {{"use", cert_use}});
  };
  ORCHARD_ASSIGN_OR_RETURN(std::shared_ptr<rpc::TlsSource> source,
                           rpc::TlsSource::Load(std::move(files), std::move(watch)));
  Set(cert, source->pem()->cert_not_after);
  Set(ca, source->pem()->ca_not_after);
  sources_.push_back(source);
  return source;
}

absl::Status Credentials::LoadListeners(const TlsSettings& settings) {
  if (settings.cert.empty()) return absl::OkStatus();
  ORCHARD_ASSIGN_OR_RETURN(
      const std::shared_ptr<rpc::TlsSource> source,
      Load("server", "client_ca",
           {.ca = settings.client_ca, .cert = settings.cert, .key = settings.key}));
  Counter& refused = metrics_->refused.Add({});
  listener_ = source->ServerCredentials(
      {.names = settings.client_names, .on_refused = [&refused](const std::string& names) {
         refused.Increment();
         LogLimited(LogLevel::kWarning, "tls_caller_refused", names.substr(0, 256),
                    {{"names", names}, {"remedy", "--tls-client-name names who may call"}});
       }});
  http_ = source;
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> Credentials::ForChannels(
    const std::string& use, rpc::TlsFiles files) {
  if (!files.any()) return grpc::InsecureChannelCredentials();
  ORCHARD_ASSIGN_OR_RETURN(const std::shared_ptr<rpc::TlsSource> source,
                           Load(use, use + "_ca", std::move(files)));
  return source->ChannelCredentials();
}

void Credentials::Reload() {
  for (const std::shared_ptr<rpc::TlsSource>& source : sources_) {
    source->Reload().IgnoreError();  // The watch has told it.
  }
}

}  // namespace orchard::server
