#include "model/unknown_score.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "core/status.h"
#include "model/internal/unknown_spec.h"

namespace orchard::model {
namespace {

/// Sixteen sums side by side: vector instructions on any CPU, always in the same order, and so the
/// same bits on any machine. A BLAS promises neither.
using Lanes = float __attribute__((vector_size(64)));
constexpr size_t kLanes = sizeof(Lanes) / sizeof(float);

// Lanes go by reference: by value, their place depends on what the compiler knows of the CPU.
void Load(const float* from, Lanes& lanes) { std::memcpy(&lanes, from, sizeof(Lanes)); }

float Sum(const Lanes& lanes) {
  float total = 0.0F;
  for (size_t lane = 0; lane < kLanes; ++lane) total += lanes[lane];
  return total;
}

/// Σ a_i b_i.
float Dot(const float* a, const float* b, size_t count) {
  Lanes sums = {};
  Lanes x;
  Lanes y;
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    Load(a + i, x);
    Load(b + i, y);
    sums += x * y;
  }
  float total = Sum(sums);
  for (; i < count; ++i) total += a[i] * b[i];
  return total;
}

/// Σ (a_i - b_i)².
float SquaredDistance(const float* a, const float* b, size_t count) {
  Lanes sums = {};
  Lanes x;
  Lanes y;
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    Load(a + i, x);
    Load(b + i, y);
    x -= y;
    sums += x * x;
  }
  float total = Sum(sums);
  for (; i < count; ++i) total += (a[i] - b[i]) * (a[i] - b[i]);
  return total;
}

class Mahalanobis final : public UnknownScore {
 public:
  struct Statistics {
    std::vector<float> mean;        // [D]
    std::vector<float> whiten;      // [rank, D]
    std::vector<float> classes;     // [C, rank]
    std::vector<float> background;  // [rank]; empty for the plain kind
  };

  Mahalanobis(const internal::UnknownSpec& spec, Statistics statistics)
      : spec_(spec), statistics_(std::move(statistics)) {}

  double Score(std::span<const float> pooled,
               std::span<const double> /*log_domain*/) const override {
    const std::vector<float> w = Whitened(pooled);
    double nearest = std::numeric_limits<double>::infinity();
    for (size_t c = 0; c * w.size() < statistics_.classes.size(); ++c) {
      const float* const centre = statistics_.classes.data() + c * w.size();
      nearest = std::min(nearest, double{SquaredDistance(w.data(), centre, w.size())});
    }
    double background = 0.0;
    for (size_t i = 0; i < statistics_.background.size(); ++i) {
      background += double{statistics_.background[i]} * double{w[i]} * double{w[i]};
    }
    return background - nearest;
  }

 private:
  /// [rank]
  std::vector<float> Whitened(std::span<const float> pooled) const {
    std::vector<float> centred(pooled.begin(), pooled.end());
    internal::Transform(spec_, centred);
    const size_t width = statistics_.mean.size();
    for (size_t i = 0; i < width; ++i) centred[i] -= statistics_.mean[i];
    std::vector<float> w(static_cast<size_t>(spec_.rank));
    for (size_t i = 0; i < w.size(); ++i) {
      w[i] = Dot(statistics_.whiten.data() + i * width, centred.data(), width);
    }
    return w;
  }

  internal::UnknownSpec spec_;
  Statistics statistics_;
};

/// Reads tensors under "unknown.", collecting faults.
class Reader {
 public:
  explicit Reader(const TensorMap& tensors) : tensors_(tensors) {}

  /// The values of `name`, whose shape must be `shape`; -1 stands for any number of 1 and more.
  std::vector<float> Take(const std::string& name, const std::vector<int64_t>& shape) {
    taken_.push_back(name);
    const auto found = tensors_.find(name);
    if (found == tensors_.end()) {
      faults_.push_back(absl::StrCat("tensor \"", name, "\" is missing"));
      return {};
    }
    const std::vector<int64_t>& given = found->second.shape;
    const bool fits = std::ranges::equal(given, shape, [](int64_t have, int64_t want) {
      return want == -1 ? have > 0 : have == want;
    });
    if (fits) return found->second.Floats();
    faults_.push_back(absl::StrCat("tensor \"", name, "\" has shape [", absl::StrJoin(given, ", "),
                                   "], must be [", absl::StrJoin(shape, ", "), "]"));
    return {};
  }

  /// Errors: what was missing, misshapen, or not taken.
  absl::Status Finish(const std::string& file) {
    for (const auto& [name, tensor] : tensors_) {
      if (!absl::StartsWith(name, "unknown.")) continue;
      if (std::ranges::find(taken_, name) == taken_.end()) {
        faults_.push_back(absl::StrCat("tensor \"", name, "\" is not of this kind of score"));
      }
    }
    if (faults_.empty()) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat(file, ": ", absl::StrJoin(faults_, "; ")));
  }

 private:
  const TensorMap& tensors_;
  std::vector<std::string> taken_;
  std::vector<std::string> faults_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<UnknownScore>> MakeUnknownScore(const v1::UnknownScore& spec,
                                                               const TensorMap& tensors,
                                                               size_t width,
                                                               const std::string& file) {
  const auto parsed = internal::ParseUnknownSpec(spec);
  if (!parsed.ok()) return core::Annotate(parsed.status(), file);
  const auto columns = static_cast<int64_t>(width);
  Reader reader(tensors);
  Mahalanobis::Statistics statistics{
      .mean = reader.Take("unknown.mean", {columns}),
      .whiten = reader.Take("unknown.whiten", {parsed->rank, columns}),
      .classes = reader.Take("unknown.classes", {-1, parsed->rank}),
      .background = {}};
  if (parsed->relative) {
    statistics.background = reader.Take("unknown.background", {parsed->rank});
  }
  ORCHARD_RETURN_IF_ERROR(reader.Finish(file));
  return std::make_unique<Mahalanobis>(*parsed, std::move(statistics));
}

}  // namespace orchard::model
