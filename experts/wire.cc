#include "experts/wire.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "core/status.h"
#include "core/without_throwing.h"
#include "experts/internal/half.h"
#include "experts/scorer.h"

namespace orchard::experts {
namespace {

static_assert(std::endian::native == std::endian::little, "tensors on the wire are little-endian");

/// Domain, fingerprint, shape, callers and the tags of a request without its features.
constexpr size_t kFrameBytes = size_t{64} << 10;

/// Bytes of one element; 0 for a dtype that features don't have.
size_t ElementSize(v1::DType dtype) {
  switch (dtype) {
    case v1::FP32:
      return 4;
    case v1::FP16:
    case v1::BF16:
      return 2;
    case v1::UINT8:
      return 1;
    default:
      return 0;
  }
}

/// A name for messages; the number for a value that this build does not know.
std::string NameOf(v1::DType dtype) {
  return v1::DType_IsValid(dtype) ? v1::DType_Name(dtype) : absl::StrCat(int{dtype});
}
std::string NameOf(v1::FeatureKind kind) {
  return v1::FeatureKind_IsValid(kind) ? v1::FeatureKind_Name(kind) : absl::StrCat(int{kind});
}

absl::Status CheckDType(v1::DType dtype, core::FeatureKind kind) {
  const bool pixels = kind == core::FeatureKind::kImage;
  if (ElementSize(dtype) != 0 && pixels == (dtype == v1::UINT8)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("features: dtype ", NameOf(dtype), "; experts read ",
                   pixels ? "pictures as UINT8" : "FP32, FP16 or BF16"));
}

absl::Status CheckRowCount(size_t rows) {
  if (rows >= 1 && rows <= kMaxRows) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("features: ", rows, " rows; 1 to ", kMaxRows, " are allowed in a call"));
}

/// Whether the shape is [N, row_shape...]; N is checked by itself.
absl::Status CheckShape(const v1::Tensor& tensor, const ExpertSpec& spec) {
  const auto& shape = tensor.shape();
  bool same = static_cast<size_t>(shape.size()) == spec.row_shape.size() + 1;
  for (int i = 1; same && i < shape.size(); ++i) {
    same = shape[i] == spec.row_shape[static_cast<size_t>(i) - 1];
  }
  if (same && shape[0] >= 1) return CheckRowCount(static_cast<size_t>(shape[0]));
  constexpr int kShown = 8;  // A hostile shape may be long.
  const auto end = shape.begin() + std::min(shape.size(), kShown);
  return absl::InvalidArgumentError(absl::StrCat(
      "features: shape [", absl::StrJoin(shape.begin(), end, ", "),
      shape.size() > kShown ? ", ..." : "", "]; the expert of ", spec.domain, " reads [N, ",
      absl::StrJoin(spec.row_shape, ", "), "], N from 1 to ", kMaxRows));
}

/// Appends consecutive floats as they are.
void AppendFp32(std::span<const float> values, std::string& data) {
  data.append(reinterpret_cast<const char*>(values.data()), values.size_bytes());
}

/// Appends floats in two bytes each; `exponent_mask` tells ±∞, which means "too large".
template <typename Convert>
absl::Status AppendHalves(std::span<const float> values, Convert convert,
                          std::uint16_t exponent_mask, v1::DType dtype, std::string& data) {
  for (const float value : values) {
    const std::uint16_t half = convert(value);
    if (!std::isfinite(value) || (half & exponent_mask) == exponent_mask) {
      return absl::InvalidArgumentError(absl::StrCat(
          "features: ", NameOf(dtype), " cannot hold the value ", value, "; send FP32"));
    }
    data.append(reinterpret_cast<const char*>(&half), sizeof half);
  }
  return absl::OkStatus();
}

absl::Status AppendValues(std::span<const float> values, v1::DType dtype, std::string& data) {
  if (dtype == v1::FP16) {
    return AppendHalves(values, internal::FloatToFp16, 0x7C00, dtype, data);
  }
  if (dtype == v1::BF16) {
    return AppendHalves(values, internal::FloatToBf16, 0x7F80, dtype, data);
  }
  AppendFp32(values, data);
  return absl::OkStatus();
}

/// Halves → floats. The bytes may lie anywhere: elements are copied out.
template <typename Convert>
void ReadHalves(const std::string& data, Convert convert, std::span<float> features) {
  for (size_t i = 0; i < features.size(); ++i) {
    std::uint16_t half = 0;
    std::memcpy(&half, data.data() + i * sizeof half, sizeof half);
    features[i] = convert(half);
  }
}

/// True when every value is finite. Sums of x * 0 are 0 exactly when all x are finite; four of them
/// keep the adders busy, and there is no branch in the loop.
bool AllFinite(std::span<const float> values) {
  float sums[4] = {0, 0, 0, 0};
  size_t i = 0;
  for (; i + 4 <= values.size(); i += 4) {
    for (size_t lane = 0; lane < 4; ++lane) sums[lane] += values[i + lane] * 0.0F;
  }
  for (; i < values.size(); ++i) sums[0] += values[i] * 0.0F;
  return sums[0] + sums[1] + sums[2] + sums[3] == 0.0F;
}

/// The first value that is not finite, by row and element.
absl::Status NotFinite(std::span<const float> features, size_t rows) {
  const size_t width = features.size() / rows;
  for (size_t i = 0; i < features.size(); ++i) {
    if (std::isfinite(features[i])) continue;
    return absl::InvalidArgumentError(absl::StrCat("features: ", features[i], " at element ",
                                                   i % width, " of row ", i / width,
                                                   "; values must be finite"));
  }
  return absl::OkStatus();
}

absl::Status AppendRows(const SubBatch& batch, const ExpertSpec& spec, v1::DType dtype,
                        std::string& data) {
  data.reserve(batch.rows.size() * spec.RowWidth() * ElementSize(dtype));
  for (const size_t row : batch.rows) {
    if (row >= batch.view->rows()) {
      return absl::InvalidArgumentError(
          absl::StrCat("row ", row, " of a batch of ", batch.view->rows(), " rows"));
    }
    if (dtype == v1::UINT8) {
      const std::span<const std::uint8_t> pixels = batch.view->Pixels(row, 1);
      data.append(reinterpret_cast<const char*>(pixels.data()), pixels.size());
      continue;
    }
    ORCHARD_RETURN_IF_ERROR(AppendValues(batch.view->Floats(row, 1), dtype, data));
  }
  return absl::OkStatus();
}

absl::StatusOr<model::ScoreBatch> ReadRows(const v1::ScoreResponse& response, size_t rows,
                                           size_t classes) {
  model::ScoreBatch scores;
  scores.rows = rows;
  scores.classes = classes;
  scores.log_probabilities.reserve(rows * classes);
  scores.energy.reserve(rows);
  for (const v1::RowScore& row : response.rows()) {
    if (static_cast<size_t>(row.log_probabilities_size()) != classes) {
      return absl::InternalError(absl::StrCat("expert answered ", row.log_probabilities_size(),
                                              " classes in row ", scores.energy.size(),
                                              "; its domain has ", classes));
    }
    scores.log_probabilities.insert(scores.log_probabilities.end(), row.log_probabilities().begin(),
                                    row.log_probabilities().end());
    scores.energy.push_back(row.energy());
  }
  return scores;
}

}  // namespace

v1::FeatureKind ToWire(core::FeatureKind kind) {
  switch (kind) {
    case core::FeatureKind::kPooled:
      return v1::POOLED;
    case core::FeatureKind::kMap:
      return v1::MAP;
    case core::FeatureKind::kImage:
      return v1::IMAGE;
  }
  return v1::FEATURE_KIND_UNSPECIFIED;
}

size_t MaxRequestBytes(const ExpertSpec& spec) { return kMaxRows * spec.RowBytes() + kFrameBytes; }

size_t MaxResponseBytes(const ExpertSpec& spec) {
  constexpr size_t kRowFrame = 32;
  return kMaxRows * (spec.classes.size() * sizeof(float) + kRowFrame) + kFrameBytes;
}

absl::Status WriteRequest(const SubBatch& batch, const ExpertSpec& spec, v1::DType dtype,
                          v1::ScoreRequest& request) {
  if (spec.kind == core::FeatureKind::kImage) dtype = v1::UINT8;
  ORCHARD_RETURN_IF_ERROR(CheckDType(dtype, spec.kind));
  ORCHARD_RETURN_IF_ERROR(CheckRowCount(batch.rows.size()));
  ORCHARD_RETURN_IF_ERROR(CheckView(batch.view.get(), spec));
  request.set_domain(spec.domain);
  request.set_encoder_fingerprint(spec.encoder_fingerprint);
  request.set_model(spec.model);
  request.set_part_digest(spec.part_digest);
  v1::Tensor& tensor = *request.mutable_features();
  tensor.set_kind(ToWire(spec.kind));
  tensor.set_dtype(dtype);
  tensor.add_shape(static_cast<std::int64_t>(batch.rows.size()));
  for (const std::int64_t size : spec.row_shape) tensor.add_shape(size);
  return core::WithoutThrowing(
      spec.domain, [&] { return AppendRows(batch, spec, dtype, *tensor.mutable_data()); });
}

absl::StatusOr<size_t> CheckRequest(const v1::ScoreRequest& request, const ExpertSpec& spec) {
  if (!request.model().empty() && !spec.model.empty() && request.model() != spec.model) {
    return absl::NotFoundError(absl::StrCat("this process serves the model \"", spec.model,
                                            "\" and not \"", request.model(), "\""));
  }
  if (request.encoder_fingerprint() != spec.encoder_fingerprint) {
    const bool pictures = spec.kind == core::FeatureKind::kImage;
    return absl::FailedPreconditionError(absl::StrCat(
        pictures ? "pictures were framed and resized as \"" : "features come from encoder \"",
        request.encoder_fingerprint(), "\", the expert of ", spec.domain,
        pictures ? " reads \"" : " was trained on \"", spec.encoder_fingerprint,
        "\"; serve router and expert from one model"));
  }
  if (!request.part_digest().empty() && !spec.part_digest.empty() &&
      request.part_digest() != spec.part_digest) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the caller takes the answer of ", spec.domain, " to mean \"", request.part_digest(),
        "\", this part (version ", spec.part_version, ") means \"", spec.part_digest,
        "\": other classes, another order or other concepts; serve router and expert from one "
        "model"));
  }
  const v1::Tensor& tensor = request.features();
  if (tensor.kind() != ToWire(spec.kind)) {
    return absl::InvalidArgumentError(absl::StrCat("features: kind ", NameOf(tensor.kind()),
                                                   "; the expert of ", spec.domain, " reads ",
                                                   NameOf(ToWire(spec.kind))));
  }
  ORCHARD_RETURN_IF_ERROR(CheckDType(tensor.dtype(), spec.kind));
  ORCHARD_RETURN_IF_ERROR(CheckShape(tensor, spec));
  const auto rows = static_cast<size_t>(tensor.shape(0));
  const size_t bytes = rows * spec.RowWidth() * ElementSize(tensor.dtype());
  if (tensor.data().size() == bytes) return rows;
  return absl::InvalidArgumentError(absl::StrCat(
      "features: ", tensor.data().size(), " bytes of data; shape [",
      absl::StrJoin(tensor.shape(), ", "), "] of ", NameOf(tensor.dtype()), " needs ", bytes));
}

absl::Status ReadFeatures(const v1::Tensor& tensor, std::span<float> features) {
  switch (tensor.dtype()) {
    case v1::FP16:
      ReadHalves(tensor.data(), internal::Fp16ToFloat, features);
      break;
    case v1::BF16:
      ReadHalves(tensor.data(), internal::Bf16ToFloat, features);
      break;
    case v1::UINT8: {
      const auto* const pixels = reinterpret_cast<const std::uint8_t*>(tensor.data().data());
      std::copy_n(pixels, features.size(), features.begin());
      return absl::OkStatus();
    }
    default:
      std::memcpy(features.data(), tensor.data().data(), features.size_bytes());
  }
  if (AllFinite(features)) return absl::OkStatus();
  return NotFinite(features, static_cast<size_t>(tensor.shape(0)));
}

void WriteResponse(const model::ScoreBatch& scores, size_t first, size_t rows,
                   const std::string& part_version, v1::ScoreResponse& response) {
  response.set_part_version(part_version);
  response.mutable_rows()->Reserve(static_cast<int>(rows));
  for (size_t row = first; row < first + rows; ++row) {
    v1::RowScore& score = *response.add_rows();
    const std::span<const float> log_probabilities = scores.Row(row);
    score.mutable_log_probabilities()->Add(log_probabilities.begin(), log_probabilities.end());
    score.set_energy(scores.energy[row]);
  }
}

absl::StatusOr<model::ScoreBatch> ReadResponse(const v1::ScoreResponse& response, size_t rows,
                                               size_t classes) {
  if (static_cast<size_t>(response.rows_size()) != rows) {
    return absl::InternalError(
        absl::StrCat("expert answered ", response.rows_size(), " rows; ", rows, " were asked"));
  }
  ORCHARD_ASSIGN_OR_RETURN(model::ScoreBatch scores,
                           core::WithoutThrowing("reading the scores", [&] {
                             return ReadRows(response, rows, classes);
                           }));
  ORCHARD_RETURN_IF_ERROR(CheckScores(scores, rows, classes));
  return scores;
}

}  // namespace orchard::experts
