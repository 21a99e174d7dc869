#include "router/classifier_service.h"

#include "absl/status/status.h"

#include "core/clock.h"
#include "router/call_context.h"
#include "router/classify_call.h"
#include "router/describe.h"
#include "router/errors.h"
#include "router/stream_call.h"
#include "rpc/status.h"

namespace orchard::router {
namespace {

int IndexOf(const char* method) {
  const google::protobuf::FileDescriptor* const file = v1::ClassifyRequest::descriptor()->file();
  return file->FindServiceByName("Classifier")->FindMethodByName(method)->index();
}

}  // namespace

ClassifierService::ClassifierService(Engine& engine, const Options& options)
    : engine_(engine),
      services_{.models = engine.models(),
                .pipeline = engine.pipeline(),
                .metrics = engine.metrics(),
                .max_stream_in_flight = options.max_stream_in_flight,
                .draining = draining_.get_token()} {
  // As the generated classes do it; there is none for this pairing.
  using Handler = grpc::internal::CallbackBidiHandler<v1::ClassifyRequest, v1::ClassifyResponse>;
  MarkMethodStreamed(IndexOf("Classify"), nullptr);
  MarkMethodCallback(IndexOf("Classify"), new Handler([this](grpc::CallbackServerContext* context) {
                       return new ClassifyCall(services_, *context);
                     }));
}

grpc::ServerBidiReactor<v1::ClassifyStreamRequest, v1::ClassifyStreamResponse>*
ClassifierService::ClassifyStream(grpc::CallbackServerContext* context) {
  return new StreamCall(services_, *context);
}

grpc::ServerUnaryReactor* ClassifierService::DescribeModel(grpc::CallbackServerContext* context,
                                                           const v1::DescribeModelRequest* request,
                                                           v1::ModelDescription* response) {
  const core::Clock::time_point begin = core::Clock::now();
  const CallIds ids = IdsOf(*context);
  AddTrailers(ids, *context);
  const absl::StatusOr<ModelRegistry::Model> model = engine_.models().Find(request->model());
  if (model.ok()) {
    *response = Describe(**model, engine_.pipeline().settings(), request->endpoints());
    AddNames(engine_.models(), *response);
    response->mutable_limits()->set_max_stream_in_flight(
        static_cast<std::uint32_t>(services_.max_stream_in_flight));
  }
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  services_.metrics.Request(Method::kDescribeModel, model.status().code(),
                            core::Clock::now() - begin);
  reactor->Finish(
      rpc::ToGrpc(ForCaller(model.status(), ids.request_id, ids.trace), *context, kPushback));
  return reactor;
}

}  // namespace orchard::router
