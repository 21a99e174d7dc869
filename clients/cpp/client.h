#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "orchard/v1/classifier.grpc.pb.h"

namespace orchard::client {

/// Calls a Classifier, on one of several servers. Thread-safe.
///
/// A call goes to the server that answered last; on UNAVAILABLE or CANCELLED (a server that is gone
/// or going) the next one is tried, each at most once and at least two attempts in all, within the
/// call's time. Classification changes nothing on a server, so asking again is safe.
///
/// A server that does not answer at all (packets are dropped, or whoever listens does not speak
/// gRPC) costs one share of the call's time: with n attempts each may connect for 1/(n + 1) of it,
/// the last one for all that is left. Once connected, a call may take what is left.
class Client {
 public:
  struct Options {
    std::vector<std::string> servers = {"127.0.0.1:8001"};  ///< HOST:PORT, at least one
    std::chrono::milliseconds timeout{10'000};              ///< of a call, over all attempts
  };

  explicit Client(Options options);

  /// Errors: the server's status; UNAVAILABLE naming the servers when none could be connected to
  /// (NoServerAnswers).
  absl::StatusOr<v1::ClassifyResponse> Classify(const v1::ClassifyRequest& request);

  /// Errors: as Classify.
  absl::StatusOr<v1::ModelDescription> DescribeModel();

 private:
  using Call = std::function<grpc::Status(v1::Classifier::Stub&, grpc::ClientContext&)>;

  /// Makes `call` to one server after another, as the class comment says.
  absl::Status TryServers(const Call& call);

  struct Server {
    std::shared_ptr<grpc::Channel> channel;  // shared with the stub, as gRPC wants it
    std::unique_ptr<v1::Classifier::Stub> stub;
  };

  const Options options_;
  std::vector<Server> servers_;       // as in the options
  std::atomic<size_t> preferred_{0};  // the server that answered last
};

/// Whether `status`, of a Client, means that no server could be connected to, as opposed to one
/// that says UNAVAILABLE.
bool NoServerAnswers(const absl::Status& status);

}  // namespace orchard::client
