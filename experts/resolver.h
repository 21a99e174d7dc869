#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"

namespace orchard::experts {

/// Numeric addresses, IPv4 and IPv6, without ports.
using HostAddresses = std::vector<std::string>;

/// All addresses of a host by the system's own rules (getaddrinfo: hosts files, then DNS), sorted,
/// each once. Waits for the network. Errors: those of LookUpError.
absl::StatusOr<HostAddresses> LookUpHost(const std::string& host);

/// What an `error` of getaddrinfo means, with the name and the system's words. NOT_FOUND: there is
/// no such name, or no address behind it, and whoever knows said so; a name server answers so for a
/// headless service of Kubernetes without a ready pod (NXDOMAIN: Kubernetes' specification of DNS,
/// 2.4.1). UNAVAILABLE: nobody could say (SERVFAIL, no answer in time).
absl::Status LookUpError(const std::string& host, int error);

/// Looks names up again and again, on threads of its own, and tells who watches. Thread-safe. There
/// are a few threads, so that a name whose server does not answer holds no other one up.
class Resolver {
 public:
  using LookUp = std::function<absl::StatusOr<HostAddresses>(const std::string& host)>;
  using Watcher = std::function<void(const absl::StatusOr<HostAddresses>& addresses)>;
  using Watch = std::uint64_t;

  struct Options {
    std::chrono::milliseconds interval{5'000};  ///< between two look-ups of a name
    std::chrono::milliseconds hurry{1'000};     ///< the same, when somebody is in a hurry
    size_t threads = 4;
    LookUp look_up = LookUpHost;  ///< of one name by one thread at a time
  };

  explicit Resolver(Options options);

  /// A look-up in progress is left to itself after a moment: a name server may take its time, a
  /// process that ends has none.
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  /// `watcher` is told, on a thread of the resolver's, what each look-up of `host` gave; the first
  /// one follows at once. It must be quick.
  Watch Add(const std::string& host, Watcher watcher);

  /// The watcher is not running and will not run when this returns. Not from a watcher.
  void Remove(Watch watch);

  /// Something changed behind `host`: looks it up at once, but not more often than `hurry` says.
  void Hurry(const std::string& host);
  /// The same, not more often than each `least`.
  void Hurry(const std::string& host, std::chrono::milliseconds least);

 private:
  struct State;

  std::shared_ptr<State> state_;  // shared with the threads, which may outlive us
  std::vector<std::thread> threads_;
};

}  // namespace orchard::experts
