#include "nets/serve/servable.h"

#include <utility>

#include "nets/serve/eager.h"
#include "nets/serve/frozen.h"

namespace orchard::nets {

absl::StatusOr<std::unique_ptr<Servable>> MakeServable(Way way, const std::string& name,
                                                       torch::nn::Module& module,
                                                       const Forward& forward,
                                                       const torch::Tensor& example) {
  if (way == Way::kEager) return std::make_unique<EagerNet>(EagerNet::Make(module, forward));
  auto frozen = FrozenNet::Make(name, module, forward, example);
  if (!frozen.ok()) return frozen.status();
  return std::make_unique<FrozenNet>(*std::move(frozen));
}

}  // namespace orchard::nets
