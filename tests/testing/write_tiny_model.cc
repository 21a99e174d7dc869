// Writes small models, for what starts our programs without a trained one. Usage:
// write_tiny_model DIR DOMAINS VERSION…; each VERSION, a number, becomes DIR/VERSION with an
// encoder of its own, so that experts of one are foreign to routers of another.

#include <filesystem>
#include <iostream>

#include "absl/strings/numbers.h"

#include "tests/testing/tiny_model.h"

int main(int argc, char** argv) {
  using namespace orchard::testing;  // NOLINT(google-build-using-namespace): a main of one screen.
  size_t domains = 0;
  if (argc < 4 || !absl::SimpleAtoi(argv[2], &domains)) {
    std::cerr << "usage: write_tiny_model DIR DOMAINS VERSION...\n";
    return 2;
  }
  for (int i = 3; i < argc; ++i) {
    TinyModelOptions options{.domains = domains, .version = argv[i]};
    if (!absl::SimpleAtoi(argv[i], &options.seed)) {
      std::cerr << argv[i] << " is no number\n";
      return 2;
    }
    const auto manifest = WriteTinyModel(std::filesystem::path(argv[1]) / options.version, options);
    if (!manifest.ok()) {
      std::cerr << manifest.status() << '\n';
      return 1;
    }
  }
  return 0;
}
