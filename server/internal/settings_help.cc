#include "server/internal/settings_help.h"

#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace orchard::server::internal {
namespace {

constexpr size_t kWidth = 80;

/// `text` in lines of at most kWidth columns, each behind `indent` spaces.
std::string Wrap(const std::string& text, size_t indent) {
  std::string result;
  std::string line;
  const std::vector<std::string> words = absl::StrSplit(text, ' ', absl::SkipEmpty());
  for (const std::string& word : words) {
    if (!line.empty() && indent + line.size() + 1 + word.size() > kWidth) {
      absl::StrAppend(&result, std::string(indent, ' '), line, "\n");
      line.clear();
    }
    absl::StrAppend(&line, line.empty() ? "" : " ", word);
  }
  absl::StrAppend(&result, std::string(indent, ' '), line, "\n");
  return result;
}

std::string RenderSetting(const SettingDefinition& setting) {
  std::string text = absl::StrCat("  --", setting.name);
  if (!setting.placeholder.empty()) absl::StrAppend(&text, " ", setting.placeholder);
  absl::StrAppend(&text, "\n", Wrap(setting.help, 6));
  std::vector<std::string> facts;
  if (!setting.range.empty()) facts.push_back(absl::StrCat("[", setting.range, "]"));
  if (setting.repeatable) facts.push_back("[repeatable]");
  if (setting.required) facts.push_back("[required]");
  if (!setting.default_text.empty()) {
    facts.push_back(absl::StrCat("[default: ", setting.default_text, "]"));
  }
  facts.push_back(setting.flag_only ? std::string("[a flag only]")
                                    : absl::StrCat("[env: ", setting.own_variable,
                                                   setting.own_variable.empty() ? "" : ", else ",
                                                   setting.Variable(), "]"));
  std::string line;
  for (const std::string& fact : facts) absl::StrAppend(&line, line.empty() ? "" : " ", fact);
  return absl::StrCat(text, Wrap(line, 6));
}

}  // namespace

std::string RenderHelp(const std::string& program, const std::string& version,
                       const std::string& description, const std::vector<HelpItem>& items) {
  std::string text =
      absl::StrCat(program, " ", version, "\n", Wrap(description, 0), "\nUsage: ", program,
                   " [--SETTING VALUE | --SETTING=VALUE]...\n\n");
  absl::StrAppend(
      &text,
      Wrap("Every setting is a flag, an environment variable and a key of the TOML file that "
           "--config names; the flag wins over the variable, the variable over the file, the file "
           "over the default. A repeatable setting is repeated as a flag, an array in the file, "
           "and separated by ';' in its variable. Durations: 250ms, 1s, 2min, or plain seconds; "
           "sizes: 65536, 64KiB, 16MiB.",
           0));
  for (const HelpItem& item : items) {
    if (item.setting != nullptr) {
      absl::StrAppend(&text, RenderSetting(*item.setting));
    } else {
      absl::StrAppend(&text, "\n", item.title, ":\n");
    }
  }
  absl::StrAppend(&text, "  --version\n      Print the version and exit.\n",
                  "  --help, -h\n      Print this text and exit.\n");
  return text;
}

}  // namespace orchard::server::internal
