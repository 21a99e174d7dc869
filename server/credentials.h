#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include <prometheus/registry.h>

#include "rpc/tls.h"
#include "server/settings.h"

/// \file
/// Who we are and whom we trust, of a whole process: from settings to credentials that follow their
/// files, with what /metrics and the log say about it.

namespace orchard::server {

/// The settings. All empty: plain connections.
struct TlsSettings {
  std::filesystem::path cert, key;        ///< of every listener with TLS
  std::filesystem::path client_ca;        ///< callers must show a certificate of it
  std::vector<std::string> client_names;  ///< and one of these names, when there are any
  bool http = false;     ///< TLS on the HTTP port too; callers are not asked for certificates
  bool metrics = false;  ///< and on the metrics port
};

/// --tls-cert, --tls-key, --tls-client-ca, --tls-client-name, --http-tls (with `has_http`) and
/// --metrics-tls, and the rules between them.
void DeclareTls(Settings& settings, TlsSettings& tls, bool has_http);

/// All of a process' TLS. Thread-safe.
///
/// Metrics: orchard_tls_certificate_not_after_seconds{use}, orchard_tls_reload_failures_total{use}.
class Credentials {
 public:
  /// Metrics go to `registry`, which lives longer.
  explicit Credentials(prometheus::Registry& registry);
  ~Credentials();
  Credentials(const Credentials&) = delete;
  Credentials& operator=(const Credentials&) = delete;

  /// The listeners' part. Once. Errors: those of rpc::TlsSource::Load, naming the file.
  absl::Status LoadListeners(const TlsSettings& settings);

  /// For the gRPC listener; null: plain.
  const std::shared_ptr<grpc::ServerCredentials>& listener() const { return listener_; }

  /// For HTTP ports with TLS, which show its certificate and ask callers for none; null: there is
  /// no certificate.
  const std::shared_ptr<rpc::TlsSource>& http() const { return http_; }

  /// For channels, followed like the listeners' files. `use` and `use` + "_ca" name the files in
  /// metrics, "expert" for example. Plain credentials for files that name nothing.
  /// Errors: as above.
  absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> ForChannels(const std::string& use,
                                                                        rpc::TlsFiles files);

  /// Looks at all files now; what is wrong is logged and counted, and the former stays in use.
  void Reload();

 private:
  struct Metrics;

  absl::StatusOr<std::shared_ptr<rpc::TlsSource>> Load(const std::string& cert_use,
                                                       const std::string& ca_use,
                                                       rpc::TlsFiles files);

  const std::unique_ptr<Metrics> metrics_;
  std::vector<std::shared_ptr<rpc::TlsSource>> sources_;
  std::shared_ptr<grpc::ServerCredentials> listener_;
  std::shared_ptr<rpc::TlsSource> http_;
};

}  // namespace orchard::server
