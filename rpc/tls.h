#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>

/// \file
/// Identity and trust from files, for both ends of a connection: read and checked at the start,
/// watched, and taken anew without a new channel or listener. The only place that uses gRPC's
/// experimental TLS interface.

namespace orchard::rpc {

/// Where identity and trust are. PEM throughout; empty: not given.
struct TlsFiles {
  std::filesystem::path ca{};    ///< whom to trust; without: the system's authorities (channel)
  std::filesystem::path cert{};  ///< our certificate, followed by its intermediates
  std::filesystem::path key{};   ///< its private key, without a passphrase
  /// Channel only: the name that the server's certificate must have, when it is not the host that
  /// is connected to (an address, say).
  std::string name{};

  /// Whether TLS is wanted at all.
  bool any() const { return !ca.empty() || !cert.empty() || !key.empty() || !name.empty(); }

  bool operator==(const TlsFiles&) const = default;
};

/// The files' contents, checked.
struct TlsPem {
  std::string ca, cert, key;
  using Time = std::chrono::system_clock::time_point;
  std::optional<Time> ca_not_after;    ///< the earliest end of an authority that still holds
  std::optional<Time> cert_not_after;  ///< of our own certificate
};

/// Reads and checks: readable, PEM, valid at `now` (of the authorities one at least), and the key
/// the certificate's own. A certificate and its key come together.
/// Errors: INVALID_ARGUMENT naming the file and why.
absl::StatusOr<TlsPem> ReadTls(const TlsFiles& files, TlsPem::Time now);

/// The first of the subject alternative names in the certificate of a file that is a host, an
/// address, an e-mail address or a URI, as NameMatches() takes it; not its intermediates'.
/// Errors: INVALID_ARGUMENT naming the file, when it can't be read or the certificate has none.
absl::StatusOr<std::string> FirstNameOf(const std::filesystem::path& cert);

/// Whether `name` (as people write it: a host, an address, an e-mail address, a URI such as
/// spiffe://…) is among a certificate's names. Names of certificates may begin with "*.", which
/// stands for one label; case does not matter.
bool NameMatches(std::string_view certificate_name, std::string_view name);

/// What the files say now. Thread-safe. Credentials made from it follow it, and keep it alive.
///
/// A thread of its own looks at the files' contents every `interval`, so that it does not matter
/// how they are replaced (Kubernetes swaps a symbolic link). What is wrong is told once and the
/// former state stays in use; what is good is used by the connections made from a second later on.
/// Connections that are open go on with what they were made with: connection age ends that.
class TlsSource : public std::enable_shared_from_this<TlsSource> {
 public:
  struct Watch {
    std::chrono::milliseconds interval{5'000};
    /// Files changed: OK when what they say is in use now, else why it is not; and what is in use.
    /// Runs on the watching thread or in Reload(), so it must not hold the source, not even for a
    /// moment: whoever drops the last reference joins that thread. May be empty.
    std::function<void(const absl::Status&, const TlsPem&)> on_reload = nullptr;
  };

  /// Errors: those of ReadTls; UNAVAILABLE when the system has no memory or no descriptor for it.
  static absl::StatusOr<std::shared_ptr<TlsSource>> Load(TlsFiles files, Watch watch);
  static absl::StatusOr<std::shared_ptr<TlsSource>> Load(TlsFiles files) {
    return Load(std::move(files), Watch{});
  }

  ~TlsSource();
  TlsSource(const TlsSource&) = delete;
  TlsSource& operator=(const TlsSource&) = delete;

  /// Looks at the files now. Errors: those of ReadTls, also when they were told before.
  absl::Status Reload();

  /// What is in use.
  std::shared_ptr<const TlsPem> pem() const;

  /// For channels: trusts the files' `ca` (or the system's authorities), shows their `cert` when
  /// there is one, and expects their `name`, or the host that is connected to.
  std::shared_ptr<grpc::ChannelCredentials> ChannelCredentials();

  struct Callers {
    /// Of these one must be among the names of a caller's certificate; empty: any certificate of
    /// the files' `ca` will do.
    std::vector<std::string> names{};
    /// A caller was turned away at the handshake; `its_names` as its certificate has them. On a
    /// gRPC thread: must not wait. May be empty.
    std::function<void(const std::string& its_names)> on_refused = nullptr;
  };
  /// For listeners: shows the files' `cert`, which must be there. With a `ca` callers must show a
  /// certificate of it; without it they are not asked for one.
  std::shared_ptr<grpc::ServerCredentials> ServerCredentials(Callers callers);

 private:
  struct State;
  explicit TlsSource(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// Channel credentials for `files`; plain ones when they name nothing.
/// Errors: those of TlsSource::Load.
absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> ChannelCredentialsFrom(TlsFiles files);

}  // namespace orchard::rpc
