#include "training/log/mongo_store.h"

namespace orchard::training {

absl::StatusOr<std::unique_ptr<RunStore>> MakeMongoStore(const std::string& /*uri*/) {
  return absl::InvalidArgumentError(
      "this program was built without MongoDB (ORCHARD_MONGODB=OFF); name a file with --run-log");
}

void PutMongoAway() {}

}  // namespace orchard::training
