#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "experts/expert.h"
#include "experts/expert_spec.h"
#include "model/expert_head.h"
#include "orchard/v1/expert.pb.h"

/// \file
/// What crosses the wire between a router and an expert, both directions and every check of it.

namespace orchard::experts {

/// Largest number of rows of one Score call.
inline constexpr size_t kMaxRows = 256;

/// Longest ScoreRequest that an expert of `spec` must accept: kMaxRows rows of FP32, or of pixels,
/// and its frame.
size_t MaxRequestBytes(const ExpertSpec& spec);

/// Longest ScoreResponse of an expert of `spec`: as many answers, and their frames.
size_t MaxResponseBytes(const ExpertSpec& spec);

/// `batch` as a request to the expert of `spec`, its features stored as `dtype`, pictures as UINT8
/// whatever it is. `request` is empty. FP32 and UINT8 cost one copy of the bytes.
/// Errors: INVALID_ARGUMENT for no rows or more than kMaxRows, a row that the batch does not have,
/// features of another shape, a dtype that is not FP32, FP16 or BF16, or a value that `dtype` can't
/// hold; RESOURCE_EXHAUSTED without memory.
absl::Status WriteRequest(const SubBatch& batch, const ExpertSpec& spec, v1::DType dtype,
                          v1::ScoreRequest& request);

/// Everything that can be checked without a look at the values. Returns the number of rows.
/// Errors: FAILED_PRECONDITION naming both encoders' fingerprints, or both meanings of the part;
/// NOT_FOUND naming both models; INVALID_ARGUMENT with value and
/// limit for kind, dtype, shape, rows or length. The domain is the caller's to check.
absl::StatusOr<size_t> CheckRequest(const v1::ScoreRequest& request, const ExpertSpec& spec);

/// The values of `tensor`, which CheckRequest accepted, into `features`: rows * row width floats,
/// of pixels from 0 to 255. Errors: INVALID_ARGUMENT naming row, element and value of the first NaN
/// or ±∞; `features` then holds no meaning.
absl::Status ReadFeatures(const v1::Tensor& tensor, std::span<float> features);

/// Rows [first, first + rows) of `scores` as the answer to one call. `response` is empty.
void WriteResponse(const model::ScoreBatch& scores, size_t first, size_t rows,
                   const std::string& part_version, v1::ScoreResponse& response);

/// Errors: INTERNAL for another number of rows or classes than asked, and those of CheckScores;
/// RESOURCE_EXHAUSTED without memory.
absl::StatusOr<model::ScoreBatch> ReadResponse(const v1::ScoreResponse& response, size_t rows,
                                               size_t classes);

/// The wire's word for `kind`, and for the log.
v1::FeatureKind ToWire(core::FeatureKind kind);

}  // namespace orchard::experts
