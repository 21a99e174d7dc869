#include "core/printable.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/str_format.h"

#include "core/utf8.h"

namespace orchard::core {
namespace {

/// Whether a terminal would do something else than show it.
bool IsCommand(char32_t code) {
  if (code < 0x20 || (code >= 0x7f && code < 0xa0)) return true;  // C0, DEL, C1.
  if (code == 0x2028 || code == 0x2029) return true;              // Line, paragraph.
  return code == 0x61c || code == 0x200e || code == 0x200f ||     // Directions of writing.
         (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

std::string Escape(char32_t code) {
  switch (code) {
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    default:
      break;
  }
  const auto number = static_cast<std::uint32_t>(code);
  return code < 0x80 ? absl::StrFormat("\\x%02x", number) : absl::StrFormat("\\u%04x", number);
}

}  // namespace

std::string Printable(std::string_view text) {
  std::string shown;
  shown.reserve(text.size());
  while (!text.empty()) {
    const Character character = FirstCharacter(text);
    if (character.bytes == 0) {
      absl::StrAppendFormat(&shown, "\\x%02x", static_cast<std::uint8_t>(text[0]));
    } else if (IsCommand(character.code)) {
      shown += Escape(character.code);
    } else {
      shown.append(text.substr(0, character.bytes));
    }
    text.remove_prefix(std::max<size_t>(1, character.bytes));
  }
  return shown;
}

std::string PrintableJson(std::string_view json) {
  std::string shown;
  shown.reserve(json.size());
  while (!json.empty()) {
    const Character character = FirstCharacter(json);
    const size_t bytes = std::max<size_t>(1, character.bytes);
    if (character.code >= 0x7f && IsCommand(character.code)) {
      absl::StrAppendFormat(&shown, "\\u%04x", static_cast<std::uint32_t>(character.code));
    } else {
      shown.append(json.substr(0, bytes));
    }
    json.remove_prefix(bytes);
  }
  return shown;
}

}  // namespace orchard::core
