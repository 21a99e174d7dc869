#pragma once

#include <filesystem>

namespace orchard::core {

/// Whether a file or folder is passed over where a folder is searched for pictures: hidden ones
/// (also `._a.jpg`, which macOS writes beside `a.jpg` and which is no picture), and the folders of
/// previews `__MACOSX` and `@eaDir` that archives and NAS devices bring. By the last part of the
/// path alone.
bool IsPassedOver(const std::filesystem::path& path);

}  // namespace orchard::core
