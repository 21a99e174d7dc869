#pragma once

#include <cstddef>
#include <functional>

namespace orchard::router::testing {

/// How often `work` asks for memory, by this program's operator new. Only this thread's are
/// counted.
size_t CountAllocations(const std::function<void()>& work);

}  // namespace orchard::router::testing
