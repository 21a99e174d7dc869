#include "server/settings.h"

#include <algorithm>
#include <cassert>
#include <cstdlib>
#include <deque>
#include <iostream>
#include <map>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"

#include "server/internal/nearest.h"
#include "server/internal/settings_file.h"
#include "server/internal/settings_help.h"

namespace orchard::server {
namespace {

constexpr char kConfig[] = "config";
constexpr int kUsageExitCode = 2;

std::string DidYouMean(const std::string& name, const std::vector<std::string>& names,
                       const std::string& prefix) {
  const std::string nearest = internal::Nearest(name, names);
  return nearest.empty() ? "" : absl::StrCat("; did you mean ", prefix, nearest, "?");
}

std::vector<std::string> ArgumentsOf(int argc, const char* const* argv) {
  return {argv + std::min(argc, 1), argv + argc};
}

const char* OfTheProcess(const char* variable) { return std::getenv(variable); }

}  // namespace

std::string SettingDefinition::Variable() const {
  return "ORCHARD_" + absl::AsciiStrToUpper(absl::StrReplaceAll(name, {{"-", "_"}}));
}

std::string SettingDefinition::Allowed() const {
  return range.empty() ? kind : absl::StrCat(kind, " from ", range);
}

struct Settings::State {
  std::string program;
  std::string version;
  std::string description;
  std::deque<SettingDefinition> definitions;  // A deque: Setting<T> points into it.
  std::vector<internal::HelpItem> help_items;
  std::optional<std::filesystem::path> config;
  std::vector<std::function<absl::Status()>> rules;

  SettingDefinition* Find(const std::string& name) {
    for (SettingDefinition& definition : definitions) {
      if (definition.name == name) return &definition;
    }
    return nullptr;
  }

  std::vector<std::string> Names() const {
    std::vector<std::string> names = {"help", "version"};
    for (const SettingDefinition& definition : definitions) names.push_back(definition.name);
    return names;
  }
};

/// What was said about the settings, by place. `faults` collects everything that is wrong.
struct Settings::Source {
  std::map<std::string, std::vector<std::string>> flags;
  std::map<std::string, std::vector<std::string>> file;
  std::string file_name;
  bool file_unread = false;  // it is named, and can't be read
  bool help = false;
  bool version = false;
  std::vector<std::string> faults;

  void ReadFlags(State& state, const std::vector<std::string>& arguments);
  void ReadConfigFile(State& state, const Environment& environment);

  struct Given {
    std::vector<std::string> texts;
    std::string from;  ///< for faults; empty for a flag
    bool separators_alone = false;
  };
  /// The value of the highest precedence, if there is any.
  std::optional<Given> Find(const SettingDefinition& definition,
                            const Environment& environment) const;
  void Accept(const SettingDefinition& definition, const Given& given);
};

void Settings::Source::ReadFlags(State& state, const std::vector<std::string>& arguments) {
  const auto is_flag = [](const std::string& text) { return text.rfind("--", 0) == 0; };
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (argument == "--help" || argument == "-h") {
      help = true;
    } else if (argument == "--version") {
      version = true;
    } else if (!is_flag(argument)) {
      faults.push_back(absl::StrCat("\"", argument, "\": unexpected argument"));
    } else {
      const size_t equals = argument.find('=');
      const std::string name =
          argument.substr(2, equals == std::string::npos ? equals : equals - 2);
      const bool has_next = i + 1 < arguments.size() && !is_flag(arguments[i + 1]);
      const SettingDefinition* definition = state.Find(name);
      if (definition == nullptr) {
        faults.push_back(
            absl::StrCat("--", name, ": unknown flag", DidYouMean(name, state.Names(), "--")));
        // Most likely its value: one fault is enough.
        if (equals == std::string::npos && has_next) ++i;
      } else if (equals != std::string::npos) {
        flags[name].push_back(argument.substr(equals + 1));
      } else if (definition->is_switch) {
        flags[name].push_back("true");
      } else if (has_next) {
        flags[name].push_back(arguments[++i]);
      } else {
        faults.push_back(
            absl::StrCat("--", name, ": the value is missing; it takes ", definition->Allowed()));
      }
    }
  }
}

void Settings::Source::ReadConfigFile(State& state, const Environment& environment) {
  const SettingDefinition& definition = *state.Find(kConfig);
  const std::optional<Given> given = Find(definition, environment);
  if (!given) return;
  Accept(definition, *given);
  file_name = given->texts.back();
  absl::StatusOr<internal::SettingsFile> read = internal::ReadSettingsFile(file_name);
  if (!read.ok()) {
    faults.push_back(absl::StrCat("--config: ", read.status().message(), given->from));
    file_unread = true;
    return;
  }
  file = std::move(read->values);
  faults.insert(faults.end(), read->faults.begin(), read->faults.end());
  for (const auto& [key, texts] : file) {
    if (key == kConfig) {
      faults.push_back(absl::StrCat("config: a file can't name another file, in ", file_name));
    } else if (const SettingDefinition* known = state.Find(key); known == nullptr) {
      faults.push_back(
          absl::StrCat(key, ": unknown key in ", file_name, DidYouMean(key, state.Names(), "")));
    } else if (known->flag_only) {
      faults.push_back(absl::StrCat(key, ": can only be given as a flag, not in ", file_name));
    }
  }
}

std::optional<Settings::Source::Given> Settings::Source::Find(
    const SettingDefinition& definition, const Environment& environment) const {
  if (const auto flag = flags.find(definition.name); flag != flags.end()) {
    return Given{.texts = flag->second, .from = ""};
  }
  if (definition.flag_only) return std::nullopt;
  for (const std::string& variable : {definition.own_variable, definition.Variable()}) {
    const char* text = variable.empty() ? nullptr : environment(variable.c_str());
    if (text == nullptr || *text == '\0') continue;
    Given given{.texts = {text}, .from = absl::StrCat(" (from ", variable, ")")};
    if (definition.repeatable) {
      given.texts = absl::StrSplit(text, ';', absl::SkipWhitespace());
      given.separators_alone = given.texts.empty();
    }
    return given;
  }
  if (const auto entry = file.find(definition.name); entry != file.end()) {
    return Given{.texts = entry->second, .from = absl::StrCat(" (from ", file_name, ")")};
  }
  return std::nullopt;
}

void Settings::Source::Accept(const SettingDefinition& definition, const Given& given) {
  absl::Status status;
  if (given.separators_alone) {
    status = absl::InvalidArgumentError("separators without a value");
  } else if (!definition.repeatable && given.texts.size() != 1) {
    status = absl::InvalidArgumentError(absl::StrCat("takes one value, given ", given.texts.size(),
                                                     ": ", absl::StrJoin(given.texts, ", ")));
  } else {
    status = definition.accept(given.texts);
  }
  if (status.ok()) return;
  faults.push_back(absl::StrCat("--", definition.name, ": ", status.message(), given.from));
}

Settings::Settings(std::string program, std::string version, std::string description)
    : state_(std::make_unique<State>()) {
  state_->program = std::move(program);
  state_->version = std::move(version);
  state_->description = std::move(description);
  Add(kConfig, state_->config, "TOML file with settings: key = value, keys as the flags")
      .Placeholder("FILE");
}

Settings::~Settings() = default;

SettingDefinition& Settings::Define(SettingDefinition definition) {
  assert(state_->Find(definition.name) == nullptr && "two settings of one name");
  state_->definitions.push_back(std::move(definition));
  SettingDefinition& own = state_->definitions.back();
  if (own.name != kConfig) state_->help_items.push_back({.title = "", .setting = &own});
  return own;
}

void Settings::Rule(std::function<absl::Status()> rule) {
  state_->rules.push_back(std::move(rule));
}

void Settings::Section(const std::string& title) {
  state_->help_items.push_back({.title = title, .setting = nullptr});
}

std::string Settings::Help() const {
  std::vector<internal::HelpItem> items = state_->help_items;
  items.push_back({.title = "Program", .setting = nullptr});
  items.push_back({.title = "", .setting = state_->Find(kConfig)});
  return internal::RenderHelp(state_->program, state_->version, state_->description, items);
}

absl::StatusOr<Settings::Next> Settings::Parse(const std::vector<std::string>& arguments,
                                               const Environment& environment, std::ostream& out) {
  Source source;
  source.ReadFlags(*state_, arguments);
  if (source.help) {
    out << Help() << std::flush;
    return Next::kExit;
  }
  if (source.version) {
    out << state_->program << ' ' << state_->version << std::endl;
    return Next::kExit;
  }
  source.ReadConfigFile(*state_, environment);
  std::vector<const SettingDefinition*> given_settings;
  for (const SettingDefinition& definition : state_->definitions) {
    if (definition.name == kConfig) continue;
    const std::optional<Source::Given> given = source.Find(definition, environment);
    if (given) {
      source.Accept(definition, *given);
      given_settings.push_back(&definition);
    } else if (definition.required) {
      source.faults.push_back(absl::StrCat("--", definition.name,
                                           ": must be given: ", definition.Allowed(), " (or ",
                                           definition.Variable(), ", or in the file)"));
    }
  }
  if (!source.faults.empty()) {
    return absl::InvalidArgumentError(absl::StrJoin(source.faults, "\n"));
  }
  for (const SettingDefinition* definition : given_settings) definition->commit();
  for (const std::function<absl::Status()>& rule : state_->rules) {
    if (const absl::Status status = rule(); !status.ok()) {
      source.faults.emplace_back(status.message());
    }
  }
  if (!source.faults.empty()) {
    return absl::InvalidArgumentError(absl::StrJoin(source.faults, "\n"));
  }
  return Next::kRun;
}

absl::Status Settings::ParseOnly(const std::vector<std::string>& names,
                                 const std::vector<std::string>& arguments,
                                 const Environment& environment) {
  Source source;
  source.ReadFlags(*state_, arguments);
  std::vector<std::string> faults = std::exchange(source.faults, {});
  source.ReadConfigFile(*state_, environment);
  // A file that can't be read may hold what we want; a line of it that can't, does not.
  if (source.file_unread) faults.insert(faults.end(), source.faults.begin(), source.faults.end());
  source.faults = std::move(faults);
  std::vector<const SettingDefinition*> given_settings;
  for (const std::string& name : names) {
    const SettingDefinition& definition = *state_->Find(name);
    const std::optional<Source::Given> given = source.Find(definition, environment);
    if (!given) continue;
    source.Accept(definition, *given);
    given_settings.push_back(&definition);
  }
  if (!source.faults.empty()) {
    return absl::InvalidArgumentError(absl::StrJoin(source.faults, "\n"));
  }
  for (const SettingDefinition* definition : given_settings) definition->commit();
  return absl::OkStatus();
}

int Settings::TellFaults(const absl::Status& faults) const {
  std::cerr << state_->program << ": the settings can't be used:\n  "
            << absl::StrReplaceAll(faults.message(), {{"\n", "\n  "}}) << "\nSee "
            << state_->program << " --help" << std::endl;
  return kUsageExitCode;
}

std::optional<int> Settings::ParseMain(int argc, const char* const* argv) {
  const absl::StatusOr<Next> next = Parse(ArgumentsOf(argc, argv), OfTheProcess, std::cout);
  if (!next.ok()) return TellFaults(next.status());
  if (*next == Next::kExit) return 0;
  return std::nullopt;
}

std::optional<int> Settings::ParseMainOnly(const std::vector<std::string>& names, int argc,
                                           const char* const* argv) {
  const absl::Status parsed = ParseOnly(names, ArgumentsOf(argc, argv), OfTheProcess);
  if (!parsed.ok()) return TellFaults(parsed);
  return std::nullopt;
}

}  // namespace orchard::server
