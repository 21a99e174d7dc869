#include "model/encoder.h"

#include <algorithm>
#include <cmath>
#include <dlfcn.h>
#include <mutex>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include <torch/torch.h>

#include "core/status.h"
#include "model/fingerprint.h"
#include "model/internal/networks.h"
#include "model/store.h"
#include "model/torch_state.h"
#include "nets/guarded.h"
#include "nets/mobilenet_v2.h"
#include "nets/serve/fused_encoder.h"

namespace orchard::model {
namespace {

constexpr const char* kArchitecture = "mobilenet_v2";
constexpr uint32_t kCrop = 224;  // pixels; what gives a map of 7 × 7
constexpr size_t kChannels = 3;

/// Settings of the whole process, which may be made only once.
void PrepareProcess() {
  try {
    at::set_num_interop_threads(1);
  } catch (const c10::Error&) {
    // Somebody used the inter-op pool before: it has its size then, and we don't use it.
  }
  // OpenBLAS has a pool of its own, whichever variant of it is installed.
  using SetThreads = void (*)(int);
  void* const symbol = dlsym(RTLD_DEFAULT, "openblas_set_num_threads");
  if (symbol != nullptr) reinterpret_cast<SetThreads>(symbol)(1);
}

std::string ShapeText(const std::vector<int64_t>& shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ", "), "]");
}

/// The manifest's words about the encoder against what this architecture is.
absl::Status CheckPart(const v1::EncoderPart& part, const std::string& file) {
  const v1::Architecture& architecture = part.architecture();
  if (internal::NameOf(architecture) != kArchitecture) {
    return absl::InvalidArgumentError(absl::StrCat(file, ": unknown encoder architecture \"",
                                                   internal::NameOf(architecture),
                                                   "\"; known: ", kArchitecture));
  }
  if (architecture.arguments_size() > 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(file, ": architecture ", kArchitecture, " takes no arguments"));
  }
  if (part.preprocessing().crop() != kCrop) {
    return absl::InvalidArgumentError(absl::StrCat(file, ": crop ", part.preprocessing().crop(),
                                                   " must be ", kCrop, " for ", kArchitecture));
  }
  for (const v1::FeatureSpec& feature : part.features()) {
    const auto kind =
        feature.kind() == v1::MAP ? core::FeatureKind::kMap : core::FeatureKind::kPooled;
    const std::vector<int64_t> given(feature.shape().begin(), feature.shape().end());
    if (given != nets::RowShape(kind)) {
      return absl::InvalidArgumentError(
          absl::StrCat(file, ": feature ", v1::FeatureKind_Name(feature.kind()), " has shape ",
                       ShapeText(given), ", must be ", ShapeText(nets::RowShape(kind))));
    }
  }
  return absl::OkStatus();
}

EncoderPrecision Resolve(EncoderPrecision precision) {
  if (precision != EncoderPrecision::kAuto) return precision;
  return nets::CpuHasBf16() ? EncoderPrecision::kBf16 : EncoderPrecision::kFp32;
}

absl::StatusOr<nets::FusedEncoder> Fuse(nets::MobileNetV2& network,
                                        const v1::Preprocessing& preprocessing,
                                        EncoderPrecision precision) {
  const auto three = [](const auto& v) { return torch::tensor({v.Get(0), v.Get(1), v.Get(2)}); };
  network->eval();
  return nets::FusedEncoder::Make(
      network, three(preprocessing.mean()), three(preprocessing.std()),
      precision == EncoderPrecision::kBf16 ? nets::Precision::kBf16 : nets::Precision::kFp32);
}

std::shared_ptr<const core::ViewSpec> SpecOf(core::FeatureKind kind,
                                             const std::string& fingerprint) {
  return std::make_shared<const core::ViewSpec>(
      core::ViewSpec{.kind = kind, .row_shape = nets::RowShape(kind), .made_by = fingerprint});
}

bool AllFinite(const std::vector<float>& values) {
  return std::ranges::all_of(values, [](float value) { return std::isfinite(value); });
}

}  // namespace

void PrepareInferenceThread() {
  static std::once_flag once;
  std::call_once(once, PrepareProcess);
  at::set_num_threads(1);
  at::init_num_threads();  // A fresh thread has OpenMP's default, whatever another one set.
}

std::string Name(EncoderPrecision precision) {
  switch (precision) {
    case EncoderPrecision::kAuto:
      return "auto";
    case EncoderPrecision::kFp32:
      return "fp32";
    case EncoderPrecision::kBf16:
      return "bf16";
  }
  return "";
}

std::vector<std::pair<std::string, EncoderPrecision>> NamedEncoderPrecisions() {
  std::vector<std::pair<std::string, EncoderPrecision>> named;
  for (const auto precision :
       {EncoderPrecision::kAuto, EncoderPrecision::kFp32, EncoderPrecision::kBf16}) {
    named.emplace_back(Name(precision), precision);
  }
  return named;
}

struct Encoder::Impl {
  nets::FusedEncoder network;
  std::string fingerprint;
  EncoderPrecision precision;
  std::shared_ptr<const core::ViewSpec> pooled, map;  // shared with every view that it makes
};

Encoder::Encoder(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Encoder::~Encoder() = default;

absl::StatusOr<std::unique_ptr<Encoder>> Encoder::Load(const std::filesystem::path& version_dir,
                                                       const v1::EncoderPart& part,
                                                       EncoderPrecision precision) {
  const std::string file = version_dir / part.file().path();
  ORCHARD_RETURN_IF_ERROR(CheckPart(part, file));
  ORCHARD_ASSIGN_OR_RETURN(const TensorMap tensors, ReadPart(version_dir, part.file()));
  const std::string fingerprint = Fingerprint(tensors, part.preprocessing());
  if (fingerprint != part.fingerprint()) {
    return absl::InvalidArgumentError(absl::StrCat(file, ": fingerprint is ", fingerprint,
                                                   ", the manifest says ", part.fingerprint()));
  }
  return nets::Guarded(file, [&]() -> absl::StatusOr<std::unique_ptr<Encoder>> {
    nets::MobileNetV2 network;
    ORCHARD_RETURN_IF_ERROR(LoadState(*network, tensors, "", file));
    const EncoderPrecision resolved = Resolve(precision);
    ORCHARD_ASSIGN_OR_RETURN(nets::FusedEncoder fused,
                             Fuse(network, part.preprocessing(), resolved));
    return std::unique_ptr<Encoder>(new Encoder(std::make_unique<Impl>(Impl{
        std::move(fused), fingerprint, resolved, SpecOf(core::FeatureKind::kPooled, fingerprint),
        SpecOf(core::FeatureKind::kMap, fingerprint)})));
  });
}

absl::StatusOr<core::FeatureBatch> Encoder::Encode(std::span<const std::uint8_t> pixels,
                                                   size_t rows) const {
  constexpr size_t kRow = size_t{kCrop} * kCrop * kChannels;
  if (rows == 0 || pixels.size() != rows * kRow) {
    return absl::InvalidArgumentError(absl::StrCat("encoder: ", pixels.size(), " bytes for ", rows,
                                                   " pictures of ", kRow, " bytes"));
  }
  const size_t pooled_width = impl_->pooled->RowWidth();
  const size_t map_width = impl_->map->RowWidth();
  std::vector<float> pooled(rows * pooled_width);
  std::vector<float> map(rows * map_width);
  for (size_t row = 0; row < rows; ++row) {
    ORCHARD_RETURN_IF_ERROR(impl_->network.Run(pixels.data() + row * kRow,
                                               map.data() + row * map_width,
                                               pooled.data() + row * pooled_width));
  }
  if (!AllFinite(map) || !AllFinite(pooled)) {
    return absl::InternalError("encoder: NaN or an infinity among the features");
  }
  return core::FeatureBatch{
      .rows = rows,
      .views = {std::make_shared<const core::View>(impl_->pooled, std::move(pooled)),
                std::make_shared<const core::View>(impl_->map, std::move(map))}};
}

const std::string& Encoder::fingerprint() const { return impl_->fingerprint; }

EncoderPrecision Encoder::precision() const { return impl_->precision; }

}  // namespace orchard::model
