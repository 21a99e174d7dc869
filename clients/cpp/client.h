#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "clients/cpp/retry.h"
#include "core/clock.h"
#include "orchard/v1/classifier.grpc.pb.h"
#include "rpc/tls.h"

namespace orchard::client {

/// Calls a Classifier, on one of several servers. Thread-safe.
///
/// A call begins at the server that answered last, or behind the one that turned out to be gone,
/// cut off or without experts (TurnsAway). What follows a failure is Judge's:
///   - gone or going (UNAVAILABLE, CANCELLED): the next server; at most max(2, servers) attempts;
///   - busy (RESOURCE_EXHAUSTED): the next server, and again each after the time that it asked for
///     (`grpc-retry-pushback-ms`) and a backoff, as long as the call's time lasts;
///   - anything else, a negative pushback, or a server that says that no expert answered: the end.
/// A server that was asked before in the same call is asked again after a backoff only (Backoff).
/// Where nobody can be connected to and somebody answered less than 10 s ago, servers are being
/// replaced, or the addresses behind their name are: that is no attempt for half of the call's
/// time. Classification changes nothing on a server, so asking again is safe.
///
/// A server that does not answer at all (packets are dropped, or whoever listens does not speak
/// gRPC) costs one share of the call's time: with n attempts each may connect for 1/(n + 1) of it,
/// the last one for all that is left. Once connected, a call may take what is left; when that
/// passes without an answer the next call begins at another server, and pings close the connection
/// after 20 s.
class Client {
 public:
  struct Options {
    std::vector<std::string> servers = {"127.0.0.1:8001"};  ///< HOST:PORT, at least one
    std::chrono::milliseconds timeout{10'000};              ///< of a call, over all attempts
    rpc::TlsFiles tls{};                                    ///< plain when it names nothing
  };

  explicit Client(Options options);

  /// Whether the files of Options::tls can be used (rpc::ChannelCredentialsFrom, which names the
  /// file); when not, every call fails with this. They are watched: new ones are taken anew.
  const absl::Status& status() const { return status_; }

  /// Errors: the server's status, with its ErrorInfo (rpc::ErrorInfoOf); UNAVAILABLE naming the
  /// servers when none could be connected to (NoServerAnswers); INVALID_ARGUMENT when the request
  /// is over what a message can hold (2 GiB).
  absl::StatusOr<v1::ClassifyResponse> Classify(const v1::ClassifyRequest& request);

  /// Errors: as Classify.
  absl::StatusOr<v1::ModelDescription> DescribeModel(const v1::DescribeModelRequest& request = {});

 private:
  using Call = std::function<grpc::Status(v1::Classifier::Stub&, grpc::ClientContext&)>;

  struct Server {
    std::shared_ptr<grpc::Channel> channel;  // shared with the stub, as gRPC wants it
    std::unique_ptr<v1::Classifier::Stub> stub;
  };

  /// Makes `call` to one server after another, as the class comment says.
  absl::Status TryServers(const Call& call);

  /// One attempt at a server that is connected.
  static Failure Try(const Server& server, const Call& call, core::Clock::time_point deadline);

  const Options options_;
  absl::Status status_;
  std::vector<Server> servers_;                      // as in the options
  std::atomic<size_t> preferred_{0};                 // where the next call begins
  std::atomic<core::Clock::time_point> answered_{};  // the last time that any of them did
};

/// The size of a picture's file that the server accepts, bytes; nothing when it doesn't say.
std::optional<std::uint64_t> MostImageBytes(Client& client);

/// Whether a message of so many bytes can be sent at all: protobuf would end the process over one
/// that can't. Errors: INVALID_ARGUMENT over 2 GiB.
absl::Status CheckMessageSize(size_t bytes);

/// UNAVAILABLE that names the servers at which nobody could be connected to.
absl::Status NobodyConnected(const std::vector<std::string>& servers, const rpc::TlsFiles& tls);

/// Whether `status` is NobodyConnected's, as opposed to a server's that says UNAVAILABLE.
bool NoServerAnswers(const absl::Status& status);

}  // namespace orchard::client
