#include "clients/cpp/display.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "clients/cpp/internal/character_width.h"

namespace orchard::client {
namespace {

struct Character {
  char32_t code = 0;
  size_t bytes = 0;  // 0: what is there is no UTF-8
};

/// The character at the front of `text`, which is not empty. Overlong forms, surrogates and what
/// lies behind U+10FFFF are no characters.
Character First(std::string_view text) {
  const auto lead = static_cast<std::uint8_t>(text[0]);
  if (lead < 0x80) return {lead, 1};
  const size_t bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < bytes) return {};
  char32_t code = lead & (0x7fU >> bytes);
  for (size_t i = 1; i < bytes; ++i) {
    const auto next = static_cast<std::uint8_t>(text[i]);
    if ((next & 0xc0U) != 0x80) return {};
    code = code << 6 | (next & 0x3fU);
  }
  constexpr char32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = code >= 0xd800 && code <= 0xdfff;
  if (code < kLeast[bytes] || code > 0x10ffff || surrogate) return {};
  return {code, bytes};
}

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
    const Character character = First(text);
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
    const Character character = First(json);
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

size_t DisplayWidth(std::string_view text) {
  size_t columns = 0;
  while (!text.empty()) {
    const Character character = First(text);
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
