#include "training/onnx/onnx.h"

namespace orchard::training {
namespace {

absl::Status NotBuilt() {
  return absl::FailedPreconditionError(
      "this program was built without ONNX (ORCHARD_ONNX=OFF); install libonnx-dev and build it "
      "with -DORCHARD_ONNX=ON");
}

}  // namespace

absl::StatusOr<std::string> ExportOnnx(const std::filesystem::path& /*model*/,
                                       const std::filesystem::path& /*out*/, bool /*overwrite*/) {
  return NotBuilt();
}

absl::StatusOr<std::string> GraphText(const GraphOptions& /*options*/) { return NotBuilt(); }

}  // namespace orchard::training
