#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"

#include "rpc/tls.h"
#include "server/address.h"

namespace orchard::server {

/// A small HTTP/1.1 server for pages that machines read: probes and metrics. One thread, one
/// request a connection; not for pictures.
///
/// No peer can hold it up: a connection holds no thread, has one deadline for all of its request
/// however its bytes trickle in, and is closed to make room for a newer one when there are too
/// many. Built on Boost.Beast, in http.cc alone; decision 13 says why, and how streams and bodies
/// fit in.
///
/// Not prometheus-cpp's Exposer: it can't start its threads beside LibTorch and OpenBLAS, whose
/// static thread-local storage overflows the stacks that it asks for (serving.md section 8).
///
/// Get() before Start(); otherwise thread-safe.
class HttpServer {
 public:
  struct Options {
    size_t max_connections = 64;  ///< the one that has waited longest makes room for one more
    /// For the handshake and the whole request together; as long again for taking the answer.
    std::chrono::milliseconds patience{5'000};
    bool tls_wanted = false;  ///< whether Start() uses the certificate that it is given
  };
  struct Response {
    int status = 200;
    std::string body{};
    std::string content_type = "text/plain; charset=utf-8";
  };
  using Handler = std::function<Response()>;

  HttpServer();
  explicit HttpServer(Options options);
  ~HttpServer();  ///< Stop().
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  /// Answers GET and HEAD of `path` (exact). The handler runs on the server's thread and must not
  /// wait.
  void Get(const std::string& path, Handler handler);

  /// Listens and returns the bound address. Once. `tls` is followed: its certificate in use is
  /// shown to each new connection.
  /// Errors: UNAVAILABLE naming the address and the system's reason (port in use, unknown host).
  absl::StatusOr<Address> Start(const Address& listen,
                                std::shared_ptr<rpc::TlsSource> tls = nullptr);

  /// Refuses what comes, gives answers that are being written a second, joins. Idempotent.
  void Stop();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace orchard::server
