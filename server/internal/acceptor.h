#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <sys/types.h>
#include <thread>
#include <unordered_map>
#include <vector>

#include "server/internal/listen_socket.h"

namespace orchard::server::internal {

/// Accepts connections on a thread of its own and hands the sockets over.
///
/// Ours and not gRPC's: the listener of gRPC 1.51 stops for ever at the first accept() that fails
/// for want of descriptors (CVE-2023-4785), and knows no limit of connections. This one waits,
/// while new connections queue in the kernel, when descriptors run short or too many connections
/// are open, and goes on when there is room.
class Acceptor {
 public:
  struct Options {
    size_t max_connections = 4096;
    /// Descriptors that are left to the rest of the process: files, other ports, experts.
    int reserve = 16;
    std::chrono::milliseconds retry{100};  ///< how often it looks while there is no room
  };
  /// Takes a connected socket, non-blocking and closed on exec. On the thread of the acceptor.
  using HandOver = std::function<void(int listener, int socket)>;

  Acceptor(std::vector<Descriptor> listeners, const Options& options, HandOver hand_over);
  ~Acceptor() { Stop(); }
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;

  /// Whether there is room for one more connection; false while it waits for some.
  bool accepting() const { return accepting_; }

  /// Accepts no more, closes the listeners, joins. What waits in the kernel is refused. Idempotent.
  void Stop();

 private:
  void Run();
  /// Whether one more connection may be taken; looks for connections that have ended.
  bool HasRoom();
  /// False when accept() found no room.
  bool AcceptFrom(int listener);
  void SetAccepting(bool accepting, const char* why);

  const Options options_;
  const HandOver hand_over_;
  std::vector<Descriptor> listeners_;
  Descriptor wake_;  // an eventfd: the end
  std::atomic<bool> accepting_ = true;
  // Sockets that were handed over, by descriptor, with the inode that they had: whoever got one
  // closes it, and a number whose inode has changed is another file's. Only of the thread.
  std::unordered_map<int, ino_t> open_;
  std::jthread thread_;  // Last: it uses everything above.
};

}  // namespace orchard::server::internal
