#pragma once

#include <filesystem>
#include <string>

#include "core/text.h"
#include "tests/testing/pictures.h"
#include "tests/testing/temp_dir.h"

namespace orchard::training {

/// A file of a drawn picture, with its folders.
inline void WritePicture(const std::filesystem::path& file, const vision::Image& image) {
  std::filesystem::create_directories(file.parent_path());
  core::WriteFile(file, testing::EncodeJpeg(image)).IgnoreError();
}

/// Two domains of two classes, `count` small pictures a class, without group lists: plain colours
/// (red or blue, each its own shade) and gradients with leaves. Enough to tell apart.
inline void WriteTinyData(const std::filesystem::path& data, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    const auto shade = static_cast<std::uint8_t>(90 + 12 * i);
    const std::string name = std::to_string(i) + ".jpg";
    WritePicture(data / "leaf" / "broad" / name, testing::DrawLeaf(64, 48, 10 + i));
    WritePicture(data / "leaf" / "narrow" / name, testing::DrawLeaf(40, 80, 50 + i));
    WritePicture(data / "plain" / "red" / name, testing::DrawGrains(64, 64, 100 + i));
    WritePicture(data / "plain" / "blue" / name, testing::DrawPlain(64, 64, 10, 20, shade));
  }
}

/// Lists that put every picture in a group of its own.
inline void WriteTinyLists(const std::filesystem::path& data, size_t count) {
  const auto list = [&](const std::string& domain, const std::string& a, const std::string& b) {
    std::string text = "class\tid\tgroup\n";
    for (const std::string& label : {a, b}) {
      for (size_t i = 0; i < count; ++i) {
        const std::string id = std::to_string(i);
        text += label + "\t" + id + "\t" + label + id + "\n";
      }
    }
    core::WriteFile(data / (domain + ".tsv"), text).IgnoreError();
  };
  list("leaf", "broad", "narrow");
  list("plain", "blue", "red");
}

}  // namespace orchard::training
