#pragma once

#include <string>
#include <vector>

#include "server/settings.h"

namespace orchard::server::internal {

/// A heading (`title`) or a setting.
struct HelpItem {
  std::string title;
  const SettingDefinition* setting = nullptr;
};

/// The text of --help, 80 columns wide where words allow.
std::string RenderHelp(const std::string& program, const std::string& version,
                       const std::string& description, const std::vector<HelpItem>& items);

}  // namespace orchard::server::internal
