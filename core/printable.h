#pragma once

#include <string>
#include <string_view>

/// \file
/// Text that others chose (file names, a server's words) on a terminal: what it holds is shown and
/// never obeyed.

namespace orchard::core {

/// `text` as valid UTF-8 on one line. Control characters, the separators of lines and paragraphs,
/// marks that turn the direction of writing and bytes that are not UTF-8 become escapes as C writes
/// them: `\n`, `\t`, `\x1b`, `\u202e`, `\xff`. All else stays, also a backslash, so that ordinary
/// names look like themselves: scripts should read JSON.
std::string Printable(std::string_view text);

/// JSON text with what Printable would escape written as JSON escapes it (`\u009b`), which means
/// the same to a reader: JSON itself escapes what lies under U+0020, and no more. Line ends stay.
std::string PrintableJson(std::string_view json);

}  // namespace orchard::core
