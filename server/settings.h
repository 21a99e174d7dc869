#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

#include "server/setting_codec.h"

/// \file
/// Settings: one definition gives --flag, ORCHARD_ variable, TOML key, default, range and help.
///
///   Settings settings("orchard-router", version, "Routes a photograph to its experts.");
///   settings.Add("in-flight", config.in_flight, "requests in progress").Range(1, 65536);
///   settings.AddBytes("max-image-bytes", config.max_image_bytes, "largest picture");
///   settings.AddChoice("log-level", config.level, {{"info", LogLevel::kInfo}, …}, "least level");
///   settings.Add("expert", config.experts, "DOMAIN=ADDRESS, repeatable");  // std::vector<string>
///   if (const std::optional<int> code = settings.ParseMain(argc, argv)) return *code;
///
/// Precedence: flag > environment > file > default. The value that a variable has at Add() is its
/// default; a target is written only when all settings of the process are without fault.
/// A repeatable setting is repeated as a flag, an array in the file, and separated by ';' in one
/// environment variable. An empty environment variable counts as unset. Environment variables that
/// no setting has are ignored (Kubernetes makes ORCHARD_ROUTER_SERVICE_HOST and the like of its
/// own), unknown flags and file keys are faults.

namespace orchard::server {

/// One setting, as the parser and --help see it. Made by Settings::Add.
struct SettingDefinition {
  std::string name;  ///< "in-flight": also the file's key; ORCHARD_IN_FLIGHT
  std::string help;
  std::string placeholder;
  std::string kind;
  std::string range;         ///< "1 to 65536", or empty
  std::string default_text;  ///< empty: no default is shown
  bool repeatable = false;
  bool is_switch = false;  ///< --name alone means true
  bool required = false;
  bool flag_only = false;  ///< no variable and no key of the file
  /// Checks texts and keeps the values. A fault says what the text is not.
  std::function<absl::Status(const std::vector<std::string>& texts)> accept;
  std::function<void()> commit;  ///< writes the kept values to the target

  /// A variable of this program's own, which wins over the shared one; may be empty.
  std::string own_variable;

  std::string Variable() const;  ///< "ORCHARD_IN_FLIGHT"
  std::string Allowed() const;   ///< "a whole number from 1 to 65536"
};

/// Says more about a setting that was just added; may be dropped. For a repeatable or optional
/// setting, T is the type of one value.
template <typename T>
class Setting {
 public:
  using Check = std::function<absl::Status(const T&)>;
  struct Rules {
    std::optional<std::pair<T, T>> range;
    Check check;
  };

  Setting(SettingDefinition& definition, SettingCodec<T> codec, std::shared_ptr<Rules> rules)
      : definition_(&definition), codec_(std::move(codec)), rules_(std::move(rules)) {}

  /// Both ends are allowed.
  Setting& Range(T least, T most) {
    definition_->range = absl::StrCat(codec_.format(least), codec_.to, codec_.format(most));
    rules_->range.emplace(std::move(least), std::move(most));
    return *this;
  }

  /// A rule that a range can't say; its message completes `--name: "text" `, for example "names no
  /// domain (DOMAIN=ADDRESS)".
  Setting& Must(Check check) {
    rules_->check = std::move(check);
    return *this;
  }

  /// The word for the value in --help.
  Setting& Placeholder(std::string placeholder) {
    definition_->placeholder = std::move(placeholder);
    return *this;
  }

  /// The default as --help says it, where the value says too little ("found from the executable").
  Setting& DefaultText(std::string text) {
    definition_->default_text = std::move(text);
    return *this;
  }

  /// A variable that is read before the shared one, for a setting that means another thing in
  /// another program of the same environment: "ORCHARD_ROUTER_MAX_BATCH" beside ORCHARD_MAX_BATCH.
  Setting& OwnVariable(std::string variable) {
    definition_->own_variable = std::move(variable);
    return *this;
  }

  /// Is no variable and no key of the file: what makes a program do another thing than usual must
  /// not come from its surroundings.
  Setting& FlagOnly() {
    definition_->flag_only = true;
    return *this;
  }

  /// Must be given, by whichever way.
  Setting& Required() {
    definition_->required = true;
    definition_->default_text.clear();
    return *this;
  }

 private:
  SettingDefinition* definition_;
  SettingCodec<T> codec_;
  std::shared_ptr<Rules> rules_;
};

/// The settings of one program, or of one of its subcommands. Not thread-safe; targets outlive it.
class Settings {
 public:
  enum class Next { kRun, kExit };
  using Environment = std::function<const char*(const char* variable)>;  ///< nullptr: not set

  /// `program` is said in --help and faults: "orchard-router", "orchard-train eval".
  Settings(std::string program, std::string version, std::string description);
  ~Settings();
  Settings(const Settings&) = delete;
  Settings& operator=(const Settings&) = delete;

  /// A setting of one value: whole numbers, double, bool, std::string, std::filesystem::path,
  /// std::chrono durations, Address. `name` is lower case with dashes, and unique.
  template <typename T>
  Setting<T> Add(const std::string& name, T& target, const std::string& help) {
    return AddOne(name, target, help, CodecOf(std::type_identity<T>{}));
  }

  /// One value or none.
  template <typename T>
  Setting<T> Add(const std::string& name, std::optional<T>& target, const std::string& help) {
    return AddOptional(name, target, help, CodecOf(std::type_identity<T>{}));
  }

  /// Any number of values; what is given replaces the default wholly.
  template <typename T>
  Setting<T> Add(const std::string& name, std::vector<T>& target, const std::string& help) {
    return AddMany(name, target, help, CodecOf(std::type_identity<T>{}));
  }

  /// A byte size: "16MiB" or a plain number.
  template <std::unsigned_integral T>
  Setting<T> AddBytes(const std::string& name, T& target, const std::string& help) {
    return AddOne(name, target, help, BytesCodec<T>());
  }

  /// One word of a closed set.
  template <typename T>
  Setting<T> AddChoice(const std::string& name, T& target,
                       std::vector<std::pair<std::string, T>> choices, const std::string& help) {
    return AddOne(name, target, help, ChoiceCodec<T>(std::move(choices)));
  }

  /// What must hold between settings; its message names them. Looked at when all values are good
  /// and written.
  void Rule(std::function<absl::Status()> rule);

  /// A heading in --help for the settings that follow.
  void Section(const std::string& title);

  /// For a main: prints help, version or faults where they belong. Without a value: run;
  /// otherwise the exit code: 0 after --help and --version, 2 after faults (on stderr).
  std::optional<int> ParseMain(int argc, const char* const* argv);

  /// The same without the process: `arguments` without the program's name.
  /// kExit after --help or --version, whose text was written to `out`; no target was written then.
  /// Errors: INVALID_ARGUMENT with every fault at once, one a line, each with the setting, the
  /// value, where it came from and what is allowed.
  absl::StatusOr<Next> Parse(const std::vector<std::string>& arguments,
                             const Environment& environment, std::ostream& out);

  /// The same for the settings of these names alone, for a task beside the program's own: values
  /// of all others are not looked at, nor the rules, nor what else is wrong in the file. Flags that
  /// nobody knows are faults still. For a main, without a value: go on; otherwise the exit code, 2.
  std::optional<int> ParseMainOnly(const std::vector<std::string>& names, int argc,
                                   const char* const* argv);

  /// The same without the process. Errors: as Parse().
  absl::Status ParseOnly(const std::vector<std::string>& names,
                         const std::vector<std::string>& arguments, const Environment& environment);

  /// What --help prints.
  std::string Help() const;

 private:
  struct Source;
  struct State;

  SettingDefinition& Define(SettingDefinition definition);
  int TellFaults(const absl::Status& faults) const;

  template <typename T>
  static absl::StatusOr<T> Accept(const SettingCodec<T>& codec,
                                  const typename Setting<T>::Rules& rules,
                                  const SettingDefinition& definition, const std::string& text) {
    std::optional<T> value = codec.parse(text);
    const bool allowed = value.has_value() && (!rules.range || InRange(*value, *rules.range));
    if (!allowed) return absl::InvalidArgumentError("is not " + definition.Allowed());
    if (rules.check) {
      if (absl::Status status = rules.check(*value); !status.ok()) return status;
    }
    return *std::move(value);
  }

  template <typename T>
  static bool InRange(const T& value, const std::pair<T, T>& range) {
    if constexpr (requires { value < value; }) {
      return !(value < range.first) && !(range.second < value);
    } else {
      return true;
    }
  }

  template <typename T, typename Commit>
  Setting<T> AddValues(SettingDefinition definition, SettingCodec<T> codec, Commit commit) {
    auto rules = std::make_shared<typename Setting<T>::Rules>();
    auto kept = std::make_shared<std::vector<T>>();
    definition.placeholder = codec.placeholder;
    definition.kind = codec.kind;
    definition.is_switch = codec.is_switch;
    definition.commit = [kept, commit = std::move(commit)] { commit(*kept); };
    SettingDefinition& own = Define(std::move(definition));
    own.accept = [codec, rules, kept, &own](const std::vector<std::string>& texts) {
      kept->clear();
      for (const std::string& text : texts) {
        absl::StatusOr<T> value = Accept<T>(codec, *rules, own, text);
        if (!value.ok()) {
          return absl::InvalidArgumentError(
              absl::StrCat("\"", text, "\" ", value.status().message()));
        }
        kept->push_back(*std::move(value));
      }
      return absl::OkStatus();
    };
    return Setting<T>(own, std::move(codec), std::move(rules));
  }

  static SettingDefinition Named(const std::string& name, const std::string& help,
                                 std::string default_text) {
    SettingDefinition definition;
    definition.name = name;
    definition.help = help;
    definition.default_text = std::move(default_text);
    return definition;
  }

  template <typename T>
  Setting<T> AddOne(const std::string& name, T& target, const std::string& help,
                    SettingCodec<T> codec) {
    return AddValues<T>(Named(name, help, codec.format(target)), codec,
                        [&target](const std::vector<T>& values) { target = values.front(); });
  }

  template <typename T>
  Setting<T> AddOptional(const std::string& name, std::optional<T>& target, const std::string& help,
                         SettingCodec<T> codec) {
    return AddValues<T>(Named(name, help, target ? codec.format(*target) : std::string("none")),
                        codec,
                        [&target](const std::vector<T>& values) { target = values.front(); });
  }

  template <typename T>
  Setting<T> AddMany(const std::string& name, std::vector<T>& target, const std::string& help,
                     SettingCodec<T> codec) {
    std::string texts;
    for (const T& value : target) texts += (texts.empty() ? "" : ";") + codec.format(value);
    SettingDefinition definition = Named(name, help, texts.empty() ? std::string("none") : texts);
    definition.repeatable = true;
    return AddValues<T>(std::move(definition), codec,
                        [&target](const std::vector<T>& values) { target = values; });
  }

  std::unique_ptr<State> state_;
};

}  // namespace orchard::server
