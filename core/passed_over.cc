#include "core/passed_over.h"

#include <string>

namespace orchard::core {

bool IsPassedOver(const std::filesystem::path& path) {
  const std::string name = path.filename().string();
  return name.starts_with('.') || name == "__MACOSX" || name == "@eaDir";
}

}  // namespace orchard::core
