#include "clients/cpp/display.h"

#include <algorithm>

#include "clients/cpp/internal/character_width.h"
#include "core/utf8.h"

namespace orchard::client {

size_t DisplayWidth(std::string_view text) {
  size_t columns = 0;
  while (!text.empty()) {
    const core::Character character = core::FirstCharacter(text);
    columns += character.bytes == 0 ? 1 : internal::CharacterWidth(character.code);
    text.remove_prefix(std::max<size_t>(1, character.bytes));
  }
  return columns;
}

std::string PadTo(std::string_view text, size_t columns) {
  std::string padded(text);
  const size_t width = DisplayWidth(text);
  if (width < columns) padded.append(columns - width, ' ');
  return padded;
}

}  // namespace orchard::client
