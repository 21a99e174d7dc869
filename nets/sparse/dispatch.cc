#include "nets/sparse/dispatch.h"

#include <algorithm>

#include <torch/torch.h>

#include "nets/sparse/every_expert.h"

namespace orchard::nets {
namespace {

thread_local bool every_expert = false;

/// Runs `expert` on rows [m, D], in pieces of exactly `tile` rows where that is wanted.
torch::Tensor RunExpert(int64_t e, const torch::Tensor& rows, const ExpertFunction& expert,
                        int64_t tile) {
  if (tile <= 0) return expert(e, rows);
  std::vector<torch::Tensor> pieces;
  for (int64_t from = 0; from < rows.size(0); from += tile) {
    const int64_t count = std::min(tile, rows.size(0) - from);
    torch::Tensor piece = rows.narrow(0, from, count);
    if (count < tile) piece = torch::constant_pad_nd(piece, {0, 0, 0, tile - count});
    pieces.push_back(expert(e, piece).narrow(0, 0, count));
  }
  return torch::cat(pieces);
}

}  // namespace

EveryExpert::EveryExpert() : before_(every_expert) { every_expert = true; }
EveryExpert::~EveryExpert() { every_expert = before_; }
bool EveryExpert::Wanted() { return every_expert; }

TopK SelectTopK(const torch::Tensor& scores, int64_t k) {
  const auto [values, indices] = torch::sort(scores, /*stable=*/true, /*dim=*/-1,
                                             /*descending=*/true);
  return {.values = values.narrow(-1, 0, k), .indices = indices.narrow(-1, 0, k).contiguous()};
}

torch::Tensor FullWeights(const Assignment& chosen, int64_t experts) {
  return torch::zeros({chosen.experts.size(0), experts}, chosen.weights.options())
      .scatter_add(1, chosen.experts.clamp_min(0), chosen.weights);
}

std::vector<int64_t> CountTokens(const torch::Tensor& experts, int64_t count) {
  // Empty places (-1) are counted in front and left out: one bincount, one copy to the host.
  const torch::Tensor counts =
      torch::bincount(experts.flatten() + 1, /*weights=*/{}, count + 1).to(torch::kCPU);
  const auto* first = counts.data_ptr<int64_t>();
  return {first + 1, first + 1 + count};
}

torch::Tensor Dispatch(const torch::Tensor& x, const Assignment& assignment, int64_t experts,
                       int64_t width, const ExpertFunction& expert,
                       const DispatchOptions& options) {
  if (EveryExpert::Wanted()) return DispatchDense(x, assignment, experts, expert);
  const int64_t n = x.size(0);
  const int64_t k = assignment.experts.size(1);
  const std::vector<int64_t> counts = CountTokens(assignment.experts, experts);
  const torch::Tensor flat = assignment.experts.flatten();  // [n K]
  const auto [sorted, order] =
      torch::sort(flat, /*stable=*/true, /*dim=*/0, /*descending=*/false);  // by expert, token
  int64_t places = 0;
  for (const int64_t count : counts) places += count;
  const torch::Tensor taken = order.narrow(0, n * k - places, places);  // Empty places sort first.
  const torch::Tensor tokens = torch::div(taken, k, "floor");           // [places]
  const torch::Tensor rows = x.index_select(0, tokens);                 // [places, D]

  std::vector<torch::Tensor> results;
  int64_t from = 0;
  for (int64_t e = 0; e < experts; ++e) {
    const int64_t count = counts[static_cast<size_t>(e)];
    if (count == 0) continue;
    results.push_back(RunExpert(e, rows.narrow(0, from, count), expert, options.tile));
    from += count;
  }
  if (results.empty()) return torch::zeros({n, width}, x.options());
  const torch::Tensor y = torch::cat(results);  // [places, D']
  const torch::Tensor weights = assignment.weights.reshape({-1}).to(y.scalar_type());
  const torch::Tensor weighted = y * weights.index_select(0, taken).unsqueeze(1);
  if (options.combine == Combine::kIndexAdd) {
    return torch::zeros({n, width}, y.options()).index_add(0, tokens, weighted);
  }
  // A place is written once, so the scatter has no collisions; then K additions in a fixed order.
  const torch::Tensor scattered =
      torch::zeros({n * k, width}, y.options()).index_copy(0, taken, weighted).view({n, k, width});
  torch::Tensor sum = scattered.select(1, 0);
  for (int64_t choice = 1; choice < k; ++choice) sum = sum + scattered.select(1, choice);
  return sum;  // [n, D']
}

torch::Tensor DispatchDense(const torch::Tensor& x, const Assignment& assignment, int64_t experts,
                            const ExpertFunction& expert) {
  std::vector<torch::Tensor> all;
  for (int64_t e = 0; e < experts; ++e) all.push_back(expert(e, x));
  const torch::Tensor y = torch::stack(all, 1);  // [n, E, D']
  const torch::Tensor index =
      assignment.experts.clamp_min(0).unsqueeze(-1).expand({-1, -1, y.size(2)});  // [n, K, D']
  return (y.gather(1, index) * assignment.weights.unsqueeze(-1).to(y.scalar_type())).sum(1);
}

}  // namespace orchard::nets
