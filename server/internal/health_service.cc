#include "server/internal/health_service.h"

#include <iterator>
#include <utility>

#include "core/clock.h"

namespace orchard::server::internal {

HealthService::HealthService(std::vector<std::string> names)
    : names_(std::make_move_iterator(names.begin()), std::make_move_iterator(names.end())) {}

void HealthService::SetServing(bool serving) {
  serving_ = serving;
  watches_.Tell(
      [this](size_t name, const std::optional<Response>& told) { return NewsOf(name, told); });
}

void HealthService::EndWatches() {
  watches_.End(grpc::Status(grpc::StatusCode::UNAVAILABLE, "the server is shutting down"));
}

HealthService::Response::ServingStatus HealthService::StatusOf(size_t name) const {
  if (name == kUnknown) return Response::SERVICE_UNKNOWN;
  return serving_ ? Response::SERVING : Response::NOT_SERVING;
}

std::optional<HealthService::Response> HealthService::NewsOf(
    size_t name, const std::optional<Response>& told) const {
  Response response;
  response.set_status(StatusOf(name));
  if (told && told->status() == response.status()) return std::nullopt;
  return response;
}

grpc::ServerUnaryReactor* HealthService::Check(grpc::CallbackServerContext* context,
                                               const grpc::health::v1::HealthCheckRequest* request,
                                               grpc::health::v1::HealthCheckResponse* response) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  if (!names_.contains(request->service())) {
    reactor->Finish(grpc::Status(grpc::StatusCode::NOT_FOUND, "no service of this name"));
    return reactor;
  }
  response->set_status(StatusOf(kKnown));
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

grpc::ServerWriteReactor<grpc::health::v1::HealthCheckResponse>* HealthService::Watch(
    grpc::CallbackServerContext* /*context*/, const grpc::health::v1::HealthCheckRequest* request) {
  return watches_.Open(
      names_.contains(request->service()) ? kKnown : kUnknown, core::Clock::now(),
      [this](size_t name, const std::optional<Response>& told) { return NewsOf(name, told); });
}

}  // namespace orchard::server::internal
