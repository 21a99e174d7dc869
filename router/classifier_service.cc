#include "router/classifier_service.h"

#include "absl/status/status.h"

#include "core/clock.h"
#include "router/call_context.h"
#include "router/classify_call.h"
#include "router/describe.h"
#include "router/stream_call.h"

namespace orchard::router {

ClassifierService::ClassifierService(Engine& engine, const Options& options)
    : engine_(engine),
      services_{.pipeline = engine.pipeline(),
                .metrics = engine.metrics(),
                .max_stream_in_flight = options.max_stream_in_flight,
                .draining = draining_.get_token()} {}

grpc::ServerUnaryReactor* ClassifierService::Classify(grpc::CallbackServerContext* context,
                                                      const v1::ClassifyRequest* request,
                                                      v1::ClassifyResponse* response) {
  return new ClassifyCall(services_, *context, *request, *response);
}

grpc::ServerBidiReactor<v1::ClassifyStreamRequest, v1::ClassifyStreamResponse>*
ClassifierService::ClassifyStream(grpc::CallbackServerContext* context) {
  return new StreamCall(services_, *context);
}

grpc::ServerUnaryReactor* ClassifierService::DescribeModel(grpc::CallbackServerContext* context,
                                                           const v1::DescribeModelRequest* request,
                                                           v1::ModelDescription* response) {
  const core::Clock::time_point begin = core::Clock::now();
  AddTrailers(IdsOf(*context), *context);
  *response = Describe(engine_.manifest(), engine_.catalogue(), engine_.pipeline().settings(),
                       engine_.fleet(), request->endpoints());
  response->mutable_limits()->set_max_stream_in_flight(
      static_cast<std::uint32_t>(services_.max_stream_in_flight));
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  services_.metrics.Request(Method::kDescribeModel, absl::StatusCode::kOk,
                            core::Clock::now() - begin);
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

}  // namespace orchard::router
