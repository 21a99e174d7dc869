#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace orchard::core {

/// SHA-256 over pieces. Not thread-safe.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void Add(std::string_view bytes);

  /// 64 lower-case hex digits. Once.
  std::string Hex();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// SHA-256 of `bytes`, 64 lower-case hex digits.
std::string Sha256Hex(std::string_view bytes);

}  // namespace orchard::core
