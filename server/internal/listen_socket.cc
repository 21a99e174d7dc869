#include "server/internal/listen_socket.h"

#include <cerrno>
#include <cstring>
#include <memory>
#include <netinet/in.h>
#include <string>
#include <sys/socket.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include <netdb.h>

namespace orchard::server::internal {
namespace {

using AddressList = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

absl::Status Fault(const Address& address, const char* reason) {
  return absl::UnavailableError(absl::StrCat("can't listen on ", address.ToString(), ": ", reason));
}

absl::StatusOr<AddressList> Resolve(const Address& address) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int error =
      getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &found);
  if (error != 0) return Fault(address, gai_strerror(error));
  return AddressList(found, &freeaddrinfo);
}

std::uint16_t BoundPort(int socket) {
  sockaddr_storage storage{};
  socklen_t length = sizeof(storage);
  if (getsockname(socket, reinterpret_cast<sockaddr*>(&storage), &length) != 0) return 0;
  if (storage.ss_family == AF_INET6) {
    return ntohs(reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_port);
  }
  return ntohs(reinterpret_cast<const sockaddr_in*>(&storage)->sin_port);
}

void SetPort(sockaddr& address, std::uint16_t port) {
  if (address.sa_family == AF_INET6) {
    reinterpret_cast<sockaddr_in6*>(&address)->sin6_port = htons(port);
  } else {
    reinterpret_cast<sockaddr_in*>(&address)->sin_port = htons(port);
  }
}

/// An invalid one, and errno, when it fails.
Descriptor ListenOn(const addrinfo& at, int backlog) {
  Descriptor socket(
      ::socket(at.ai_family, at.ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, at.ai_protocol));
  if (socket.get() < 0) return {};
  const int on = 1;
  const int off = 0;
  // The system's default may be one or the other: [::] takes IPv4 as well, here and everywhere.
  if (at.ai_family == AF_INET6) {
    setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
  }
  // A port that was just given back may be taken at once.
  if (setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
      ::bind(socket.get(), at.ai_addr, at.ai_addrlen) != 0 ||
      ::listen(socket.get(), backlog) != 0) {
    return {};
  }
  return socket;
}

}  // namespace

void Descriptor::Close() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

absl::StatusOr<ListenSockets> Listen(const Address& address, int backlog) {
  absl::StatusOr<AddressList> addresses = Resolve(address);
  if (!addresses.ok()) return addresses.status();
  ListenSockets made{.sockets = {}, .bound = address};
  int error = EADDRNOTAVAIL;
  for (const addrinfo* at = addresses->get(); at != nullptr; at = at->ai_next) {
    SetPort(*at->ai_addr, made.bound.port);  // Of port 0: the one that the first address got.
    Descriptor socket = ListenOn(*at, backlog);
    if (socket.get() >= 0) {
      made.bound.port = BoundPort(socket.get());
      made.sockets.push_back(std::move(socket));
      continue;
    }
    error = errno;
    const bool has_none = error == EADDRNOTAVAIL || error == EAFNOSUPPORT;
    if (!has_none) return Fault(address, std::strerror(error));
  }
  if (made.sockets.empty()) return Fault(address, std::strerror(error));
  return made;
}

}  // namespace orchard::server::internal
