#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"

#include "server/address.h"

namespace orchard::server {

/// A small HTTP/1.1 server for pages that machines read: probes and metrics. A few threads, few
/// connections, one request a connection; not for pictures.
///
/// Not prometheus-cpp's Exposer: it can't start its threads beside LibTorch and OpenBLAS, whose
/// static thread-local storage overflows the stacks that it asks for (serving.md section 8).
///
/// Get() before Start(); otherwise thread-safe.
class HttpServer {
 public:
  struct Options {
    size_t threads = 2;       ///< so that a slow reader does not hide /healthz
    size_t max_waiting = 16;  ///< accepted connections without a thread; more wait in the kernel
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

  /// Answers GET and HEAD of `path` (exact). The handler runs on one of the threads and must not
  /// wait; several may run at once.
  void Get(const std::string& path, Handler handler);

  /// Listens and returns the bound address. Once.
  /// Errors: UNAVAILABLE naming the address and the system's reason (port in use, unknown host).
  absl::StatusOr<Address> Start(const Address& listen);

  /// Refuses what comes, finishes what is being answered, joins. At once; a silent connection can
  /// hold it up for a second. Idempotent.
  void Stop();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace orchard::server
