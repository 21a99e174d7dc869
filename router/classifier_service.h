#pragma once

#include <stop_token>

#include "orchard/v1/classifier.grpc.pb.h"
#include "router/call_context.h"
#include "router/engine.h"

namespace orchard::router {

/// v1::Classifier over an engine. Its threads are gRPC's: each call only converts, hands over to
/// the pipeline, and finishes. Thread-safe; the engine outlives it.
///
/// Classify is unary on the wire. Here it is a stream of one request and one response, so that a
/// call comes to us before its picture does: gRPC hands a unary call over only with its message.
class ClassifierService final
    : public v1::Classifier::WithCallbackMethod_ClassifyStream<
          v1::Classifier::WithCallbackMethod_DescribeModel<v1::Classifier::Service>> {
 public:
  struct Options {
    size_t max_stream_in_flight = 16;  ///< requests in progress per stream; >= 1
  };
  ClassifierService(Engine& engine, const Options& options);

  grpc::ServerBidiReactor<v1::ClassifyStreamRequest, v1::ClassifyStreamResponse>* ClassifyStream(
      grpc::CallbackServerContext* context) override;

  grpc::ServerUnaryReactor* DescribeModel(grpc::CallbackServerContext* context,
                                          const v1::DescribeModelRequest* request,
                                          v1::ModelDescription* response) override;

  /// Open streams read no further, answer what is in progress and end with UNAVAILABLE; so do those
  /// that come. Idempotent.
  void EndStreams() { draining_.request_stop(); }

 private:
  Engine& engine_;
  std::stop_source draining_;
  const CallServices services_;
};

}  // namespace orchard::router
