#pragma once

#include <cstddef>
#include <string>
#include <string_view>

/// \file
/// Text that others chose on a terminal: columns stay columns. What it holds is shown and never
/// obeyed by way of core::Printable.

namespace orchard::client {

/// Columns that `text` takes on a terminal. `text` is core::Printable's.
size_t DisplayWidth(std::string_view text);

/// `text`, with spaces behind it up to `columns`; longer ones stay whole. `text` is
/// core::Printable's.
std::string PadTo(std::string_view text, size_t columns);

}  // namespace orchard::client
