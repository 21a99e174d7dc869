#pragma once

#include <cstdio>
#include <string>

namespace orchard::training {

/// A line on stdout, at once.
inline void Say(const std::string& line) {
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

}  // namespace orchard::training
