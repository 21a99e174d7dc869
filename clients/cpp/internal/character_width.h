#pragma once

#include <cstddef>

namespace orchard::client::internal {

/// Columns of a terminal that a character takes, whatever the locale: 0 for what joins the
/// character before it, 2 for what East Asian writing and emoji take, 1 otherwise. Control
/// characters are not asked about: display.h writes them as text.
size_t CharacterWidth(char32_t character);

}  // namespace orchard::client::internal
