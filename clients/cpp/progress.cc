#include "clients/cpp/progress.h"

#include "absl/strings/str_format.h"

namespace orchard::client {
namespace {
constexpr size_t kWidth = 40;  // columns
}  // namespace

ProgressBar::ProgressBar(std::ostream& out, size_t total, bool enabled)
    : out_(out), total_(total), enabled_(enabled && total > 0) {}

void ProgressBar::Show(size_t done) {
  if (!enabled_) return;
  const size_t filled = kWidth * done / total_;
  out_ << absl::StrFormat("\r[%s%s] %d/%d", std::string(filled, '#'),
                          std::string(kWidth - filled, ' '), done, total_)
       << std::flush;
}

void ProgressBar::Hide() {
  if (enabled_) out_ << "\r\x1b[K" << std::flush;  // To the left edge, clear the line.
}

}  // namespace orchard::client
