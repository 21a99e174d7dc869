#pragma once

#include <utility>
#include <vector>

#include "absl/status/statusor.h"

#include "server/address.h"

namespace orchard::server::internal {

/// A file descriptor that is closed with its owner.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() { Close(); }
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    if (this != &other) {
      Close();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }

  int get() const { return fd_; }
  int Release() { return std::exchange(fd_, -1); }
  void Close();

 private:
  int fd_ = -1;
};

struct ListenSockets {
  std::vector<Descriptor> sockets;  ///< one an address of the host; closed on exec, non-blocking
  Address bound;                    ///< the host as asked for, the port as bound
};

/// Binds and listens on every address of the host, all on one port. 0.0.0.0 is IPv4 alone, [::] is
/// both. A port that another socket listens on is an error: SO_REUSEPORT is off. An address of a
/// family that this machine does not have is passed over, unless it is the only one.
/// Errors: UNAVAILABLE naming the address and the system's reason.
absl::StatusOr<ListenSockets> Listen(const Address& address, int backlog);

}  // namespace orchard::server::internal
