#include "rpc/tls.h"

#include <algorithm>
#include <condition_variable>
#include <map>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_certificate_verifier.h>
#include <grpcpp/security/tls_credentials_options.h>

#include "core/mutex.h"
#include "core/status.h"
#include "rpc/internal/pem_file.h"

namespace orchard::rpc {
namespace {

namespace tls = ::grpc::experimental;

constexpr unsigned kRefreshSeconds = 1;  // The least that gRPC takes; it looks at memory only.

std::vector<std::string> NamesOf(const tls::TlsCustomVerificationCheckRequest& peer) {
  std::vector<std::string> names;
  for (const auto& some :
       {peer.dns_names(), peer.uri_names(), peer.ip_names(), peer.email_names()}) {
    for (const grpc::string_ref& name : some) names.emplace_back(name.data(), name.size());
  }
  return names;
}

bool HasOneOf(const std::vector<std::string>& theirs, const std::vector<std::string>& allowed) {
  return std::ranges::any_of(theirs, [&allowed](const std::string& name) {
    return std::ranges::any_of(allowed,
                               [&name](const std::string& one) { return NameMatches(name, one); });
  });
}

/// Says who the peer may be, once its certificate is known to be good. gRPC owns it for as long as
/// it uses the credentials, so it also holds what those read from.
class Verifier final : public tls::ExternalCertificateVerifier {
 public:
  /// Without names: the host that is connected to (channel), or anybody (listener).
  Verifier(std::shared_ptr<TlsSource> source, TlsSource::Callers peers, bool check_host)
      : source_(std::move(source)), peers_(std::move(peers)), check_host_(check_host) {}

  bool Verify(tls::TlsCustomVerificationCheckRequest* peer,
              std::function<void(grpc::Status)> callback, grpc::Status* status) override {
    if (!peers_.names.empty()) {
      const std::vector<std::string> theirs = NamesOf(*peer);
      if (HasOneOf(theirs, peers_.names)) return true;
      const std::string list = absl::StrJoin(theirs, ", ");
      if (peers_.on_refused) peers_.on_refused(list);
      *status = grpc::Status(
          grpc::StatusCode::UNAUTHENTICATED,
          absl::StrCat("the certificate is for ", list.empty() ? std::string("nobody") : list,
                       ", not for ", absl::StrJoin(peers_.names, ", ")));
      return true;
    }
    if (check_host_) return host_.Verify(peer, std::move(callback), status);
    return true;
  }

  void Cancel(tls::TlsCustomVerificationCheckRequest* peer) override {
    if (check_host_ && peers_.names.empty()) host_.Cancel(peer);
  }

 private:
  const std::shared_ptr<TlsSource> source_;
  const TlsSource::Callers peers_;
  const bool check_host_;
  tls::HostNameCertificateVerifier host_;
};

}  // namespace

struct TlsSource::State {
  TlsFiles files;
  Watch watch;
  internal::PemFile ca;
  internal::PemFile identity;  // key and certificate in one, so that they always match

  core::Mutex reload;                        // One reload at a time; held while files are read.
  std::string told ABSL_GUARDED_BY(reload);  // the fault that was told last

  mutable core::Mutex mutex;
  std::shared_ptr<const TlsPem> pem ABSL_GUARDED_BY(mutex);
  bool stopping ABSL_GUARDED_BY(mutex) = false;
  std::condition_variable changed;
  std::jthread thread;  // Last: it uses everything above.

  absl::Status Take(TlsPem fresh) {
    if (!fresh.ca.empty()) ORCHARD_RETURN_IF_ERROR(ca.Write(fresh.ca));
    if (!fresh.cert.empty()) {
      ORCHARD_RETURN_IF_ERROR(identity.Write(absl::StrCat(fresh.key, "\n", fresh.cert)));
    }
    core::MutexLock lock(mutex);
    pem = std::make_shared<const TlsPem>(std::move(fresh));
    return absl::OkStatus();
  }

  std::shared_ptr<const TlsPem> Pem() const {
    core::MutexLock lock(mutex);
    return pem;
  }

  absl::Status Look() ABSL_LOCKS_EXCLUDED(reload) {
    core::MutexLock one(reload);
    absl::StatusOr<TlsPem> fresh = ReadTls(files, std::chrono::system_clock::now());
    const std::shared_ptr<const TlsPem> used = Pem();
    if (fresh.ok() && fresh->ca == used->ca && fresh->cert == used->cert &&
        fresh->key == used->key) {
      told.clear();
      return absl::OkStatus();
    }
    const absl::Status status = fresh.ok() ? Take(*std::move(fresh)) : fresh.status();
    // What stays wrong is told once, not at every look.
    const bool is_news = status.ok() || told != status.message();
    told = std::string(status.message());
    if (is_news && watch.on_reload) watch.on_reload(status, *Pem());
    return status;
  }

  void Run() ABSL_LOCKS_EXCLUDED(mutex) {
    while (true) {
      {
        const auto next = std::chrono::steady_clock::now() + watch.interval;
        core::MutexLock lock(mutex);
        while (!stopping && lock.WaitUntil(changed, next)) {
        }
        if (stopping) return;
      }
      Look().IgnoreError();  // on_reload has it.
    }
  }

  std::shared_ptr<tls::FileWatcherCertificateProvider> Provider() const {
    return std::make_shared<tls::FileWatcherCertificateProvider>(identity.path(), identity.path(),
                                                                 ca.path(), kRefreshSeconds);
  }
};

TlsSource::TlsSource(std::unique_ptr<State> state) : state_(std::move(state)) {}

TlsSource::~TlsSource() {
  {
    core::MutexLock lock(state_->mutex);
    state_->stopping = true;
    state_->changed.notify_all();
  }
  if (state_->thread.joinable()) state_->thread.join();
}

absl::StatusOr<std::shared_ptr<TlsSource>> TlsSource::Load(TlsFiles files, Watch watch) {
  ORCHARD_ASSIGN_OR_RETURN(TlsPem pem, ReadTls(files, std::chrono::system_clock::now()));
  auto state = std::make_unique<State>();
  state->files = std::move(files);
  state->watch = std::move(watch);
  ORCHARD_RETURN_IF_ERROR(state->Take(std::move(pem)));
  std::shared_ptr<TlsSource> source(new TlsSource(std::move(state)));
  source->state_->thread = std::jthread([state = source->state_.get()] { state->Run(); });
  return source;
}

absl::Status TlsSource::Reload() { return state_->Look(); }

std::shared_ptr<const TlsPem> TlsSource::pem() const { return state_->Pem(); }

std::shared_ptr<grpc::ChannelCredentials> TlsSource::ChannelCredentials() {
  const TlsFiles& files = state_->files;
  tls::TlsChannelCredentialsOptions options;
  if (!files.ca.empty() || !files.cert.empty()) {
    options.set_certificate_provider(state_->Provider());
  }
  if (!files.ca.empty()) options.watch_root_certs();
  if (!files.cert.empty()) options.watch_identity_key_cert_pairs();
  Callers server;
  if (!files.name.empty()) server.names = {files.name};
  options.set_certificate_verifier(tls::ExternalCertificateVerifier::Create<Verifier>(
      shared_from_this(), std::move(server), /*check_host=*/true));
  // With a name of our own the host of each call is beside the point.
  options.set_check_call_host(files.name.empty());
  return tls::TlsCredentials(options);
}

std::shared_ptr<grpc::ServerCredentials> TlsSource::ServerCredentials(Callers callers) {
  tls::TlsServerCredentialsOptions options(state_->Provider());
  options.watch_identity_key_cert_pairs();
  if (state_->files.ca.empty()) {
    options.set_cert_request_type(GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE);
    callers.names.clear();
  } else {
    options.watch_root_certs();
    options.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  }
  options.set_certificate_verifier(tls::ExternalCertificateVerifier::Create<Verifier>(
      shared_from_this(), std::move(callers), /*check_host=*/false));
  options.set_check_call_host(false);
  return tls::TlsServerCredentials(options);
}

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> ChannelCredentialsFrom(TlsFiles files) {
  if (!files.any()) return grpc::InsecureChannelCredentials();
  ORCHARD_ASSIGN_OR_RETURN(const std::shared_ptr<TlsSource> source,
                           TlsSource::Load(std::move(files)));
  return source->ChannelCredentials();
}

}  // namespace orchard::rpc
