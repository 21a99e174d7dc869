#pragma once

#include <cstddef>
#include <string_view>

namespace orchard::core {

/// A character of a text.
struct Character {
  char32_t code = 0;
  size_t bytes = 0;  ///< 0: what is there is no UTF-8
};

/// The character at the front of `text`, which is not empty. Overlong forms, surrogates and what
/// lies behind U+10FFFF are no characters.
Character FirstCharacter(std::string_view text);

}  // namespace orchard::core
