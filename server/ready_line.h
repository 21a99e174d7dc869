#pragma once

#include <cstdio>
#include <optional>
#include <string>
#include <string_view>

#include "server/address.h"

namespace orchard::server {

/// The addresses that a process really listens on (ports as bound, never 0).
struct BoundAddresses {
  Address grpc;
  std::optional<Address> http = std::nullopt;
  std::optional<Address> metrics = std::nullopt;
};

/// "orchard-router ready grpc=HOST:PORT http=HOST:PORT metrics=HOST:PORT", without a newline; what
/// is absent is left out. Scripts read this line: it is a contract.
std::string ReadyLine(std::string_view program, const BoundAddresses& bound);

/// Writes the line and a newline to `out` at once, and flushes.
void PrintReadyLine(std::string_view program, const BoundAddresses& bound, std::FILE* out = stdout);

}  // namespace orchard::server
