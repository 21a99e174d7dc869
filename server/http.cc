#include "server/http.h"

#include <array>
#include <cassert>
#include <list>
#include <map>
#include <optional>
#include <sys/socket.h>
#include <thread>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>

#include "server/internal/listen_socket.h"
#include "server/log.h"

namespace orchard::server {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;
using Tcp = asio::ip::tcp;

constexpr int kBacklog = 256;
constexpr size_t kMaxHeaderBytes = 4096;  // and as much again of a body, which nobody needs here
constexpr std::chrono::milliseconds kRetryAccept{100};  // no descriptors are free
constexpr std::chrono::seconds kPatienceAtStop(1);
constexpr std::chrono::seconds kPatienceForFarewell(1);

/// Whether the peer speaks, but not HTTP.
bool IsMalformed(error_code error) {
  static const error_code parsing = http::make_error_code(http::error::bad_method);
  return error.category() == parsing.category() && error != http::error::end_of_stream &&
         error != http::error::partial_message;
}

/// What a connection's request is answered with.
using Answering =
    std::function<http::response<http::string_body>(const http::request<http::string_body>&)>;

/// One connection, as the server holds it. All of its life is on the server's thread.
class Connection {
 public:
  virtual ~Connection() = default;
  /// Ends what it waits for, now. Its reactions come still, each with an error.
  virtual void Close() = 0;
  /// Whether it has its whole request and is being answered.
  virtual bool answering() const = 0;
};

/// The server's list of them; an entry lives until its connection lets it go.
using Connections = std::list<std::shared_ptr<Connection>>;

/// Stream: beast::tcp_stream, or TLS over it.
template <typename Stream>
class ConnectionOver final : public Connection,
                             public std::enable_shared_from_this<ConnectionOver<Stream>> {
 public:
  static constexpr bool kTls = !std::is_same_v<Stream, beast::tcp_stream>;

  /// `tls` is what the stream refers to, or null.
  ConnectionOver(Stream stream, std::shared_ptr<asio::ssl::context> tls, const Answering& answering,
                 std::chrono::milliseconds patience)
      : tls_(std::move(tls)),
        stream_(std::move(stream)),
        answering_(answering),
        patience_(patience) {
    parser_.header_limit(kMaxHeaderBytes);
    parser_.body_limit(kMaxHeaderBytes);
  }

  /// `gone` runs once, when the connection is over.
  void Start(std::function<void()> gone) {
    gone_ = std::move(gone);
    Socket().expires_after(patience_);  // For everything up to the end of the request.
    if constexpr (kTls) {
      stream_.async_handshake(asio::ssl::stream_base::server,
                              [self = this->shared_from_this()](error_code error) {
                                if (error) return self->End();
                                self->Read();
                              });
    } else {
      Read();
    }
  }

  void Close() override { Socket().close(); }
  bool answering() const override { return writing_; }

 private:
  beast::tcp_stream& Socket() { return beast::get_lowest_layer(stream_); }

  void Read() {
    http::async_read(
        stream_, buffer_, parser_,
        [self = this->shared_from_this()](error_code error, size_t) { self->OnRead(error); });
  }

  void OnRead(error_code error) {
    if (error == http::error::header_limit) {
      Write(http::status::request_header_fields_too_large);
    } else if (error == http::error::body_limit) {
      Write(http::status::payload_too_large);
    } else if (IsMalformed(error)) {
      Write(http::status::bad_request);
    } else if (error) {
      End();
    } else {
      response_ = answering_(parser_.get());
      Write();
    }
  }

  void Write(http::status status) {
    response_ = {status, 11};
    Write();
  }

  void Write() {
    writing_ = true;
    response_.keep_alive(false);
    response_.prepare_payload();
    serializer_.emplace(response_);
    Socket().expires_after(patience_);
    const auto written = [self = this->shared_from_this()](error_code error, size_t) {
      if (error) return self->End();
      self->SayFarewell();
    };
    if (parser_.is_header_done() && parser_.get().method() == http::verb::head) {
      http::async_write_header(stream_, *serializer_, written);
    } else {
      http::async_write(stream_, *serializer_, written);
    }
  }

  /// Closing at once would reset the connection when bytes of the peer are unread, and a reset may
  /// overtake our answer: say that we are done, and wait a little for the peer to say so.
  void SayFarewell() {
    Socket().expires_after(kPatienceForFarewell);
    if constexpr (kTls) {
      stream_.async_shutdown([self = this->shared_from_this()](error_code) { self->End(); });
    } else {
      error_code ignored;
      Socket().socket().shutdown(Tcp::socket::shutdown_send, ignored);
      AwaitEnd();
    }
  }

  void AwaitEnd() {
    Socket().async_read_some(asio::buffer(unread_),
                             [self = this->shared_from_this()](error_code error, size_t) {
                               if (error) return self->End();
                               self->AwaitEnd();  // The deadline is still the first one.
                             });
  }

  void End() {
    Close();
    if (gone_) std::exchange(gone_, nullptr)();
  }

  const std::shared_ptr<asio::ssl::context> tls_;
  Stream stream_;
  const Answering& answering_;
  const std::chrono::milliseconds patience_;
  beast::flat_buffer buffer_{2 * kMaxHeaderBytes};
  http::request_parser<http::string_body> parser_;
  http::response<http::string_body> response_;
  std::optional<http::response_serializer<http::string_body>> serializer_;
  std::function<void()> gone_;
  std::array<char, 1024> unread_;  // what the peer still says, for nobody
  bool writing_ = false;
};

/// The certificate in use as OpenSSL wants it, made anew when it has changed.
class TlsContext {
 public:
  explicit TlsContext(std::shared_ptr<rpc::TlsSource> source) : source_(std::move(source)) {}

  /// Null when OpenSSL refuses what the source has checked.
  std::shared_ptr<asio::ssl::context> Get() {
    const std::shared_ptr<const rpc::TlsPem> pem = source_->pem();
    if (pem == made_of_) return context_;
    auto fresh = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_server);
    error_code error;
    fresh->set_options(asio::ssl::context::no_tlsv1 | asio::ssl::context::no_tlsv1_1, error);
    fresh->set_verify_mode(asio::ssl::verify_none, error);
    fresh->use_certificate_chain(asio::buffer(pem->cert), error);
    if (!error) {
      fresh->use_private_key(asio::buffer(pem->key), asio::ssl::context::pem, error);
    }
    made_of_ = pem;
    if (error) {
      Log(LogLevel::kError, "http_tls", {{"message", error.message()}});
    } else {
      context_ = std::move(fresh);
    }
    return context_;
  }

 private:
  const std::shared_ptr<rpc::TlsSource> source_;
  std::shared_ptr<const rpc::TlsPem> made_of_;
  std::shared_ptr<asio::ssl::context> context_;
};

}  // namespace

class HttpServer::Impl {
 public:
  explicit Impl(HttpServer::Options options) : options_(options) {}
  ~Impl() { Halt(); }

  void AddPage(const std::string& path, HttpServer::Handler handler) {
    pages_[path] = std::move(handler);
  }

  absl::StatusOr<Address> Begin(const Address& listen, std::shared_ptr<rpc::TlsSource> tls) {
    assert(!thread_.joinable() && "Start() is once");
    absl::StatusOr<internal::ListenSockets> made = internal::Listen(listen, kBacklog);
    if (!made.ok()) return made.status();
    if (options_.tls_wanted && tls != nullptr) tls_.emplace(std::move(tls));
    for (internal::Descriptor& socket : made->sockets) {
      Listener& listener = listeners_.emplace_back(io_);
      error_code error;
      // The family matters only to those who ask the acceptor about it.
      listener.acceptor.assign(Tcp::v6(), socket.get(), error);
      if (error) return absl::UnavailableError(error.message());
      socket.Release();  // The acceptor's now; before, it was ours to close.
      Accept(listener);
    }
    thread_ = std::jthread([this] { io_.run(); });
    return made->bound;
  }

  void Halt() {
    if (!thread_.joinable()) return;
    asio::post(io_, [this] {
      stopping_ = true;
      for (Listener& listener : listeners_) {
        error_code ignored;
        listener.acceptor.close(ignored);
        listener.retry.cancel();
      }
      for (const auto& connection : connections_) {
        if (!connection->answering()) connection->Close();
      }
      if (connections_.empty()) return;
      stop_.expires_after(kPatienceAtStop);
      stop_.async_wait([this](error_code) {
        for (const auto& connection : connections_) connection->Close();
      });
    });
    thread_.join();  // run() comes back when nothing is waited for any more.
  }

 private:
  struct Listener {
    explicit Listener(asio::io_context& io) : acceptor(io), retry(io) {}
    Tcp::acceptor acceptor;
    asio::steady_timer retry;
  };

  void Accept(Listener& listener) {
    listener.acceptor.async_accept([this, &listener](error_code error, Tcp::socket socket) {
      if (stopping_) return;
      if (!error) {
        Take(std::move(socket));
        return Accept(listener);
      }
      // Nearly always: no descriptor is free. Who has waited longest gives his back.
      if (!connections_.empty()) connections_.front()->Close();
      listener.retry.expires_after(kRetryAccept);
      listener.retry.async_wait([this, &listener](error_code cancelled) {
        if (!cancelled && !stopping_) Accept(listener);
      });
    });
  }

  void Take(Tcp::socket socket) {
    if (connections_.size() >= options_.max_connections) connections_.front()->Close();
    if (!tls_) return Open(beast::tcp_stream(std::move(socket)), nullptr);
    if (std::shared_ptr<asio::ssl::context> tls = tls_->Get()) {
      Open(beast::ssl_stream<beast::tcp_stream>(std::move(socket), *tls), tls);
    }
  }

  template <typename Stream>
  void Open(Stream stream, std::shared_ptr<asio::ssl::context> tls) {
    auto connection = std::make_shared<ConnectionOver<Stream>>(std::move(stream), std::move(tls),
                                                               answering_, options_.patience);
    const auto place = connections_.insert(connections_.end(), connection);
    connection->Start([this, place] {
      connections_.erase(place);
      if (connections_.empty()) stop_.cancel();
    });
  }

  http::response<http::string_body> Answer(const http::request<http::string_body>& request) const {
    http::response<http::string_body> response(http::status::ok, 11);
    const auto say = [&response](http::status status, const char* text) {
      response.result(status);
      response.set(http::field::content_type, "text/plain; charset=utf-8");
      response.body() = text;
    };
    if (request.method() != http::verb::get && request.method() != http::verb::head) {
      say(http::status::method_not_allowed, "GET and HEAD only\n");
      response.set(http::field::allow, "GET, HEAD");
      return response;
    }
    const std::string target(request.target().data(), request.target().size());
    const auto page = pages_.find(target.substr(0, target.find('?')));
    if (page == pages_.end()) {
      say(http::status::not_found, "not found\n");
      return response;
    }
    HttpServer::Response answer = page->second();
    response.result(static_cast<unsigned>(answer.status));
    response.set(http::field::content_type, answer.content_type);
    response.body() = std::move(answer.body);
    return response;
  }

  const HttpServer::Options options_;
  std::map<std::string, HttpServer::Handler> pages_;
  const Answering answering_ = [this](const auto& request) { return Answer(request); };
  asio::io_context io_{1};
  std::optional<TlsContext> tls_;
  std::list<Listener> listeners_;
  Connections connections_;       // the oldest first
  asio::steady_timer stop_{io_};  // the end of patience, once stopping
  bool stopping_ = false;
  std::jthread thread_;  // Last: it uses everything above.
};

HttpServer::HttpServer() : HttpServer(Options{}) {}
HttpServer::HttpServer(Options options) : impl_(std::make_unique<Impl>(options)) {}
HttpServer::~HttpServer() = default;

void HttpServer::Get(const std::string& path, Handler handler) {
  impl_->AddPage(path, std::move(handler));
}

absl::StatusOr<Address> HttpServer::Start(const Address& listen,
                                          std::shared_ptr<rpc::TlsSource> tls) {
  return impl_->Begin(listen, std::move(tls));
}

void HttpServer::Stop() { impl_->Halt(); }

}  // namespace orchard::server
