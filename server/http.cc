#include "server/http.h"

#include <atomic>
#include <cassert>
#include <fcntl.h>
#include <map>
#include <optional>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <utility>

// As Debian's library was compiled: the layout of httplib's classes depends on it.
#define CPPHTTPLIB_OPENSSL_SUPPORT
#include <httplib.h>

#include "server/internal/listen_socket.h"
#include "server/internal/task_queue.h"
#include "server/log.h"

namespace orchard::server {
namespace {

constexpr int kBacklog = 64;
constexpr time_t kSilenceSeconds = 1;      // An idle connection gives its thread back.
constexpr size_t kMaxRequestBytes = 4096;  // Nobody needs a body here.

/// httplib's threads, ours in number and bound. The queue itself is the server's, so that Stop()
/// can reach it while httplib's accept loop waits for a place.
class Tasks final : public httplib::TaskQueue {
 public:
  explicit Tasks(internal::TaskQueue& queue) : queue_(queue) {}
  void enqueue(std::function<void()> task) override { queue_.Enqueue(std::move(task)); }
  void shutdown() override {}

 private:
  internal::TaskQueue& queue_;
};

}  // namespace

class HttpServer::Impl final : public httplib::Server {
 public:
  explicit Impl(HttpServer::Options options) : options_(options) {
    set_keep_alive_max_count(1);
    set_keep_alive_timeout(kSilenceSeconds);
    set_read_timeout(kSilenceSeconds);
    set_write_timeout(kSilenceSeconds);
    set_payload_max_length(kMaxRequestBytes);
    // Before routing, so that httplib neither matches regular expressions nor reads a body.
    set_pre_routing_handler([this](const httplib::Request& request, httplib::Response& response) {
      Answer(request, response);
      return HandlerResponse::Handled;
    });
    new_task_queue = [this] { return new Tasks(*queue_); };
  }

  ~Impl() override { Halt(); }

  void AddPage(const std::string& path, HttpServer::Handler handler) {
    pages_[path] = std::move(handler);
  }

  absl::StatusOr<Address> Begin(const Address& listen) {
    assert(!thread_.joinable() && "Start() is once");
    absl::StatusOr<internal::ListenSocket> made = internal::Listen(listen, kBacklog);
    if (!made.ok()) return made.status();
    socket_ = std::move(made->socket);
    queue_.emplace(options_.threads, options_.max_waiting);
    thread_ = std::jthread([this] { Serve(); });
    return made->bound;
  }

  void Halt() {
    if (!thread_.joinable()) return;
    stopping_ = true;
    ::shutdown(socket_.get(), SHUT_RDWR);  // Wakes accept() and refuses what comes.
    queue_->BeginStop();
    thread_.join();
    queue_.reset();
    socket_.Close();
  }

 private:
  /// httplib's loop ends for good at the first strange error of accept(), and would leave a service
  /// without probes; ours begins it again. It closes what it is given, hence the duplicate.
  void Serve() {
    while (!stopping_) {
      svr_sock_ = ::fcntl(socket_.get(), F_DUPFD_CLOEXEC, 0);
      if (svr_sock_ == INVALID_SOCKET) break;
      listen_after_bind();
      if (!stopping_) Log(LogLevel::kWarning, "http_accept_failed");
    }
  }

  void Answer(const httplib::Request& request, httplib::Response& response) const {
    if (request.method != "GET" && request.method != "HEAD") {
      response.status = 405;
      response.set_header("Allow", "GET, HEAD");
      return;
    }
    const auto page = pages_.find(request.path);
    if (page == pages_.end()) {
      response.status = 404;
      response.set_content("not found\n", "text/plain; charset=utf-8");
      return;
    }
    const HttpServer::Response answer = page->second();
    response.status = answer.status;
    response.set_content(answer.body, answer.content_type);
  }

  const HttpServer::Options options_;
  std::map<std::string, HttpServer::Handler> pages_;
  internal::Descriptor socket_;
  std::atomic<bool> stopping_ = false;
  std::optional<internal::TaskQueue> queue_;
  std::jthread thread_;  // Last: it uses everything above.
};

HttpServer::HttpServer() : HttpServer(Options{}) {}
HttpServer::HttpServer(Options options) : impl_(std::make_unique<Impl>(options)) {}
HttpServer::~HttpServer() = default;

void HttpServer::Get(const std::string& path, Handler handler) {
  impl_->AddPage(path, std::move(handler));
}

absl::StatusOr<Address> HttpServer::Start(const Address& listen) { return impl_->Begin(listen); }

void HttpServer::Stop() { impl_->Halt(); }

}  // namespace orchard::server
