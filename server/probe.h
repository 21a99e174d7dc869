#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "absl/status/status.h"

#include "server/address.h"
#include "server/credentials.h"
#include "server/settings.h"

/// \file
/// A program that asks another one of its kind how it is, and goes: what a probe runs in a
/// container that holds nothing but our programs, and the only kind of probe that can show a
/// certificate.

namespace orchard::server {

struct ProbeSettings {
  std::optional<Address> address;  ///< whom to ask; absent: the program serves, as usual
  std::string service;             ///< a name of the health service; empty: the server as a whole
  std::chrono::milliseconds timeout{3'000};
  std::string tls_name;  ///< that the certificate must have; empty: as ours has
};

/// --probe, --probe-service, --probe-timeout, --probe-tls-name.
void DeclareProbe(Settings& settings, ProbeSettings& probe);

/// Asks `grpc.health.v1.Health/Check` once. OK: SERVING.
///
/// With a certificate in `tls` we are one of the two ends that it was made for: it is shown, and
/// the other end's must be of the callers' authorities and have `probe.tls_name`, or the first of
/// our own names. Where callers have no authorities ours is the only certificate that is trusted.
///
/// Errors, a sentence with the address each: UNAVAILABLE (not serving, not reached, not believed),
/// DEADLINE_EXCEEDED, NOT_FOUND (no such service); INVALID_ARGUMENT naming a file of TLS.
absl::Status Probe(const ProbeSettings& probe, const TlsSettings& tls);

/// For a main, before anything that takes time: without a value go on, for there is no --probe
/// among the arguments; otherwise the exit code: 0 when it serves, 1 when it does not (why is on
/// stderr), 2 for settings that can't be used. Of `settings` only those of the probe and the files
/// of TLS are looked at, so that nothing else can make it fail; they are written to `probe` and
/// `tls`.
std::optional<int> ProbeMain(const std::string& program, Settings& settings,
                             const ProbeSettings& probe, const TlsSettings& tls, int argc,
                             const char* const* argv);

}  // namespace orchard::server
