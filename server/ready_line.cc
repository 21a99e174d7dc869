#include "server/ready_line.h"

#include "absl/strings/str_cat.h"

namespace orchard::server {

std::string ReadyLine(std::string_view program, const BoundAddresses& bound) {
  std::string line = absl::StrCat(std::string(program), " ready grpc=", bound.grpc.ToString());
  if (bound.http) absl::StrAppend(&line, " http=", bound.http->ToString());
  if (bound.metrics) absl::StrAppend(&line, " metrics=", bound.metrics->ToString());
  return line;
}

void PrintReadyLine(std::string_view program, const BoundAddresses& bound, std::FILE* out) {
  const std::string line = ReadyLine(program, bound) + "\n";
  std::fwrite(line.data(), 1, line.size(), out);
  std::fflush(out);
}

}  // namespace orchard::server
