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

}  // namespace

void Descriptor::Close() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

absl::StatusOr<ListenSocket> Listen(const Address& address, int backlog) {
  absl::StatusOr<AddressList> addresses = Resolve(address);
  if (!addresses.ok()) return addresses.status();
  int error = EADDRNOTAVAIL;
  for (const addrinfo* at = addresses->get(); at != nullptr; at = at->ai_next) {
    Descriptor socket(::socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, at->ai_protocol));
    // A port that was just given back may be taken at once.
    const int on = 1;
    if (socket.get() >= 0 &&
        setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
        ::bind(socket.get(), at->ai_addr, at->ai_addrlen) == 0 &&
        ::listen(socket.get(), backlog) == 0) {
      Address bound{.host = address.host, .port = BoundPort(socket.get())};
      return ListenSocket{.socket = std::move(socket), .bound = std::move(bound)};
    }
    error = errno;
  }
  return Fault(address, std::strerror(error));
}

}  // namespace orchard::server::internal
