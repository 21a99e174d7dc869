#pragma once

namespace orchard::core {

/// The project's version, from CMakeLists.txt.
inline constexpr const char* kVersion = ORCHARD_VERSION;

}  // namespace orchard::core
