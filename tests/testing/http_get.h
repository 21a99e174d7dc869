#pragma once

#include <arpa/inet.h>
#include <cstdint>
#include <netinet/in.h>
#include <string>
#include <sys/socket.h>
#include <unistd.h>

/// \file
/// A client for our HTTP pages: plain sockets, so that what is tested is not its own judge.

namespace orchard::testing {

/// A connection to 127.0.0.1:port, closed with it.
class TcpConnection {
 public:
  explicit TcpConnection(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ =
        ::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  }
  ~TcpConnection() { ::close(socket_); }
  TcpConnection(const TcpConnection&) = delete;
  TcpConnection& operator=(const TcpConnection&) = delete;

  bool connected() const { return connected_; }

  void Send(const std::string& bytes) const {
    [[maybe_unused]] const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }

  /// Everything until the other side closes.
  std::string ReadAll() const {
    std::string all;
    char buffer[4096];
    for (ssize_t got = 0; (got = ::recv(socket_, buffer, sizeof(buffer), 0)) > 0;) {
      all.append(buffer, static_cast<size_t>(got));
    }
    return all;
  }

 private:
  int socket_;
  bool connected_ = false;
};

/// The whole answer of 127.0.0.1:port, status line and headers included; empty when refused.
inline std::string HttpRequest(std::uint16_t port, const std::string& method,
                               const std::string& path) {
  const TcpConnection connection(port);
  if (!connection.connected()) return "";
  connection.Send(method + " " + path + " HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
  return connection.ReadAll();
}

inline std::string HttpGet(std::uint16_t port, const std::string& path) {
  return HttpRequest(port, "GET", path);
}

}  // namespace orchard::testing
