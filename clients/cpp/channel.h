#pragma once

#include <memory>
#include <string>

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/security/credentials.h>

#include "core/clock.h"

namespace orchard::client {

/// A connection to `server` (HOST:PORT) of its own, made when it is first used. What a program that
/// asks routers wants of gRPC: no proxy of the environment, pings that find a server which is cut
/// off, no retry but ours.
std::shared_ptr<grpc::Channel> MakeChannel(
    const std::string& server, const std::shared_ptr<grpc::ChannelCredentials>& credentials);

/// Connects, unless it is done. False when that fails or is not done at `deadline`. A call would
/// wait for a connection until its own deadline, which leaves nothing for another server.
bool IsConnectedBy(grpc::Channel& channel, core::Clock::time_point deadline);

/// The deadline of a call, which a step of the system's clock leaves alone.
void SetDeadline(grpc::ClientContext& context, core::Clock::time_point deadline);

}  // namespace orchard::client
