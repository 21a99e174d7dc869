#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "orchard/v1/model.pb.h"

/// \file
/// A complete model in a second: for tests of everything that loads one.

namespace orchard::testing {

struct TinyModelOptions {
  /// At least 2: fruit, vegetable, leaf, grain, flower, nut, bark, root, seed, domain9, … The last
  /// third (rounded down, at least one) is of branch "disease", the others of "healthy".
  size_t domains = 4;
  std::uint64_t seed = 1;     ///< another seed, another encoder with another fingerprint
  std::string version = "1";  ///< what the manifest says, whatever the folder is called
  bool full_size = false;     ///< gates and experts as wide as in the default model: for benchmarks
  /// Each domain's class names from last to first: the same encoder and tensors, other meanings.
  bool reversed_classes = false;
};

/// Writes a valid version folder, "tiny/1" by default, into `version_dir` (made when absent) and
/// returns its manifest. A whole MobileNetV2 with random weights whose features neither vanish nor
/// explode; gates and experts that prefer something, but nothing sensible; experts of every
/// architecture in turn (linear, mlp, bottleneck_tail, mbconv_tail), so of both feature kinds.
/// Fruit and vegetable share two concepts, "tomato" by equal labels and "corn" by an alias of
/// fruit's "maize". The same bytes for the same options on one machine.
absl::StatusOr<v1::ModelManifest> WriteTinyModel(const std::filesystem::path& version_dir,
                                                 const TinyModelOptions& options = {});

enum class TinyPart : std::uint8_t { kEncoder, kGates, kFirstExpert };

/// What may be wrong with a part. Checksums and fingerprints are made to fit, so that the fault is
/// the only one.
enum class TinyFault : std::uint8_t {
  kMissingFile,
  kTruncatedFile,
  kWrongChecksum,
  kMissingTensor,
  kAdditionalTensor,  ///< "stranger"
  kWrongShape,
  kNotFinite,            ///< a NaN among the weights
  kUnknownArchitecture,  ///< "no_such_net"
  kOtherEncoder,         ///< says that it belongs to the encoder 0123456789abcdef
};

/// Breaks one part of a folder that WriteTinyModel wrote.
absl::Status BreakTinyModel(const std::filesystem::path& version_dir, TinyPart part,
                            TinyFault fault);

}  // namespace orchard::testing
