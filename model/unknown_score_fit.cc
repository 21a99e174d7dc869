#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include <torch/torch.h>

#include "core/status.h"
#include "model/internal/unknown_spec.h"
#include "model/unknown_score.h"
#include "nets/guarded.h"

namespace orchard::model {
namespace {

using internal::UnknownSpec;
using torch::Tensor;

constexpr double kLargestHalf = 65504.0;

/// Rows and classes against what the statistics need; returns the number of classes.
absl::StatusOr<size_t> CountClasses(const UnknownSpec& spec, std::span<const float> pooled,
                                    size_t width, std::span<const size_t> labels) {
  const size_t rows = labels.size();
  if (rows == 0 || width == 0 || pooled.size() != rows * width) {
    return absl::InvalidArgumentError(
        absl::StrCat("unknown score: ", pooled.size(), " features for ", rows, " rows of ", width));
  }
  const auto rank = static_cast<size_t>(spec.rank);
  if (rank > width || rank >= rows) {
    return absl::InvalidArgumentError(absl::StrCat("unknown score: rank ", rank,
                                                   " must be at most the ", width,
                                                   " features and under the ", rows, " rows"));
  }
  if (!std::ranges::all_of(pooled, [](float value) { return std::isfinite(value); })) {
    return absl::InvalidArgumentError("unknown score: NaN or an infinity among the features");
  }
  std::vector<size_t> sorted(labels.begin(), labels.end());
  std::ranges::sort(sorted);
  size_t classes = 0;
  for (const size_t label : sorted) {
    if (label > classes) break;
    if (label == classes) ++classes;
  }
  if (classes != sorted.back() + 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("unknown score: class ", classes, " of ", sorted.back() + 1, " has no row"));
  }
  return classes;
}

/// f(v) of every row, [N, width] in float64.
Tensor Transformed(const UnknownSpec& spec, std::span<const float> pooled, size_t width) {
  const auto rows = static_cast<int64_t>(pooled.size() / width);
  Tensor all = torch::empty({rows, static_cast<int64_t>(width)}, torch::kFloat64);
  auto* out = all.data_ptr<double>();
  for (size_t at = 0; at < pooled.size(); at += width) {
    std::vector<float> row(pooled.begin() + static_cast<std::ptrdiff_t>(at),
                           pooled.begin() + static_cast<std::ptrdiff_t>(at + width));
    internal::Transform(spec, row);
    out = std::copy(row.begin(), row.end(), out);
  }
  return all;
}

/// (1 - a) S + a (tr S / r) 1, for rows around 0.
Tensor ShrunkCovariance(const Tensor& rows, double shrink) {
  const Tensor covariance = rows.t().mm(rows) / static_cast<double>(rows.size(0));
  const int64_t rank = rows.size(1);
  const Tensor even = torch::eye(rank, torch::kFloat64) * (covariance.trace() / rank);
  return covariance * (1.0 - shrink) + even * shrink;
}

/// The statistics of unknown_score.h, in float64.
struct Fitted {
  Tensor mean;        // [D]
  Tensor whiten;      // [rank, D]
  Tensor classes;     // [C, rank]
  Tensor background;  // [rank]
};

Fitted Fit(const UnknownSpec& spec, const Tensor& all, const Tensor& labels, int64_t classes) {
  const Tensor mean = all.mean(0);
  const Tensor centred = all - mean;
  // PCA: eigenvectors come in the order of rising eigenvalues.
  const Tensor axes = std::get<1>(torch::linalg_eigh(centred.t().mm(centred)));
  const Tensor basis = axes.slice(1, axes.size(1) - spec.rank);  // [D, rank]
  const Tensor z = centred.mm(basis);                            // [N, rank]

  const Tensor member = torch::one_hot(labels, classes).to(torch::kFloat64);  // [N, C]
  const Tensor centres = member.t().mm(z) / member.sum(0).unsqueeze(1);       // [C, rank]
  const Tensor within = ShrunkCovariance(z - centres.index_select(0, labels), spec.shrink);

  // Whiten with the within-class covariance, then turn to the axes of the total covariance, which
  // the within-class covariance, a multiple of nothing but 1 by now, does not notice.
  const auto [scales, directions] = torch::linalg_eigh(within);
  const Tensor floor = scales.max() * std::numeric_limits<double>::epsilon();
  const Tensor sphere = directions * scales.maximum(floor).rsqrt();  // [rank, rank]
  const Tensor total = sphere.t().mm(ShrunkCovariance(z, spec.shrink)).mm(sphere);
  const auto [spreads, turn] = torch::linalg_eigh(total);
  const Tensor project = sphere.mm(turn);  // [rank, rank], z → w
  return {.mean = mean,
          .whiten = basis.mm(project).t().contiguous(),
          .classes = centres.mm(project),
          .background = spreads.reciprocal()};
}

StoredTensor Stored(const Tensor& tensor, StoredType type) {
  const Tensor narrow = tensor.to(torch::kFloat32).contiguous();
  const std::vector<float> values(narrow.data_ptr<float>(),
                                  narrow.data_ptr<float>() + narrow.numel());
  return Store(narrow.sizes().vec(), values, type);
}

TensorMap TensorsOf(const UnknownSpec& spec, const Fitted& fitted) {
  // The one large matrix in half the bytes, if its values allow it.
  const bool fits = fitted.whiten.abs().max().item<double>() < kLargestHalf;
  TensorMap tensors;
  tensors["unknown.mean"] = Stored(fitted.mean, StoredType::kF32);
  tensors["unknown.whiten"] = Stored(fitted.whiten, fits ? StoredType::kF16 : StoredType::kF32);
  tensors["unknown.classes"] = Stored(fitted.classes, StoredType::kF32);
  if (spec.relative) tensors["unknown.background"] = Stored(fitted.background, StoredType::kF32);
  return tensors;
}

}  // namespace

absl::StatusOr<TensorMap> FitUnknownScore(const v1::UnknownScore& spec,
                                          std::span<const float> pooled, size_t width,
                                          std::span<const size_t> labels) {
  ORCHARD_ASSIGN_OR_RETURN(const UnknownSpec parsed, internal::ParseUnknownSpec(spec));
  ORCHARD_ASSIGN_OR_RETURN(const size_t classes, CountClasses(parsed, pooled, width, labels));
  return nets::Guarded("unknown score", [&]() -> absl::StatusOr<TensorMap> {
    const torch::NoGradGuard guard;
    const std::vector<int64_t> indices(labels.begin(), labels.end());
    const Fitted fitted = Fit(parsed, Transformed(parsed, pooled, width),
                              torch::tensor(indices, torch::kInt64), static_cast<int64_t>(classes));
    return TensorsOf(parsed, fitted);
  });
}

}  // namespace orchard::model
