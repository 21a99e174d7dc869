#include "server/internal/settings_file.h"

#include <optional>
#include <string_view>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

#include "core/status.h"
#include "core/text.h"

namespace orchard::server::internal {
namespace {

/// A number as TOML writes it, or a truth value: what may stand without quotes.
bool IsBare(std::string_view word) {
  if (word == "true" || word == "false") return true;
  size_t at = !word.empty() && (word[0] == '+' || word[0] == '-') ? 1 : 0;
  bool digits = false;
  bool point = false;
  for (; at < word.size(); ++at) {
    if (absl::ascii_isdigit(static_cast<unsigned char>(word[at])) != 0) {
      digits = true;
    } else if (word[at] == '.' && digits && !point) {
      point = true;
    } else if (word[at] != '_' || !digits) {
      return false;
    }
  }
  return digits && word.back() != '.' && word.back() != '_';
}

/// Reads one file from its beginning to its end; a fault costs its line and no more.
class Reader {
 public:
  Reader(std::string_view text, std::string path) : text_(text), path_(std::move(path)) {}

  SettingsFile Read() {
    while (SkipToStatement()) {
      if (Peek() == '[') {
        ReadSection();
      } else {
        ReadSetting();
      }
    }
    return std::move(file_);
  }

 private:
  bool AtEnd() const { return at_ >= text_.size(); }
  char Peek() const { return AtEnd() ? '\0' : text_[at_]; }
  bool AtLineEnd() const { return AtEnd() || Peek() == '\n' || Peek() == '#'; }

  void SkipBlanks() {
    while (!AtEnd() && (Peek() == ' ' || Peek() == '\t' || Peek() == '\r')) ++at_;
  }
  void SkipLine() {
    while (!AtEnd() && Peek() != '\n') ++at_;
  }
  /// Over blanks, comments and line ends. False at the end of the file.
  bool SkipToStatement() {
    while (!AtEnd()) {
      SkipBlanks();
      if (Peek() == '#') SkipLine();
      if (Peek() != '\n') return !AtEnd();
      ++at_;
      ++line_;
    }
    return false;
  }

  void Fault(const std::string& what) {
    file_.faults.push_back(absl::StrCat(what, ", in ", path_, " line ", line_));
    SkipLine();
  }

  std::string_view Word(std::string_view ends) {
    const size_t begin = at_;
    while (!AtEnd() && ends.find(Peek()) == std::string_view::npos) ++at_;
    return text_.substr(begin, at_ - begin);
  }

  void ReadSection() {
    ++at_;
    section_ = absl::StrCat(std::string(Word("]\n#")), ".");
    if (Peek() != ']') return Fault("a section's name ends with ]");
    ++at_;
    SkipBlanks();
    if (!AtLineEnd()) Fault("nothing may follow a section's name");
  }

  void ReadSetting() {
    const std::string name(Word(" \t\r=\n#"));
    SkipBlanks();
    if (name.empty() || Peek() != '=') {
      return Fault(absl::StrCat(name.empty() ? "a line" : name, ": is not key = value"));
    }
    ++at_;
    SkipBlanks();
    key_ = section_ + name;
    std::vector<std::string> values;
    if (Peek() == '[' ? !ReadArray(values) : !ReadValue(values)) return;
    SkipBlanks();
    if (!AtLineEnd()) return Fault(absl::StrCat(key_, ": nothing may follow the value"));
    if (file_.values.contains(key_)) {
      file_.faults.push_back(absl::StrCat(key_, ": given twice in ", path_));
    }
    file_.values[key_] = std::move(values);
  }

  bool ReadArray(std::vector<std::string>& values) {
    ++at_;
    while (true) {
      if (!SkipToStatement()) {
        Fault(absl::StrCat(key_, ": the array has no ]"));
        return false;
      }
      if (Peek() == ']') break;
      if (!ReadValue(values)) return false;
      if (!SkipToStatement()) continue;
      if (Peek() == ',') {
        ++at_;
      } else if (Peek() != ']') {
        Fault(absl::StrCat(key_, ": values of an array are separated by commas"));
        return false;
      }
    }
    ++at_;
    return true;
  }

  /// Appends one value. False after a fault.
  bool ReadValue(std::vector<std::string>& values) {
    if (Peek() == '"' || Peek() == '\'') {
      const std::optional<std::string> text = ReadQuoted();
      if (text) values.push_back(*text);
      return text.has_value();
    }
    const std::string word(absl::StripAsciiWhitespace(std::string(Word(",]\n#"))));
    if (IsBare(word)) {
      std::string& value = values.emplace_back(word);
      std::erase(value, '_');
      return true;
    }
    Fault(word.empty() ? absl::StrCat(key_, ": the value is missing")
                       : absl::StrCat(key_, ": a text stands in quotes: \"", word, "\""));
    return false;
  }

  /// '…' as it stands, "…" with \" \\ \t \n.
  std::optional<std::string> ReadQuoted() {
    const char quote = Peek();
    std::string text;
    for (++at_; !AtEnd() && Peek() != '\n'; ++at_) {
      if (Peek() == quote) {
        ++at_;
        return text;
      }
      if (quote == '\'' || Peek() != '\\') {
        text += Peek();
        continue;
      }
      ++at_;
      constexpr std::string_view kNames = "\"\\tn";
      constexpr std::string_view kMeanings = "\"\\\t\n";
      const size_t found = kNames.find(Peek());
      if (AtEnd() || found == std::string_view::npos) {
        Fault(absl::StrCat(key_,
                           ": \\ stands before \", \\, t or n; write '…' for a text with "
                           "others"));
        return std::nullopt;
      }
      text += kMeanings[found];
    }
    Fault(absl::StrCat(key_, ": the closing ", std::string(1, quote), " is missing"));
    return std::nullopt;
  }

  const std::string_view text_;
  const std::string path_;
  size_t at_ = 0;
  size_t line_ = 1;
  std::string section_;  // with its dot, or empty
  std::string key_;      // being read
  SettingsFile file_;
};

}  // namespace

absl::StatusOr<SettingsFile> ReadSettingsFile(const std::string& path) {
  ORCHARD_ASSIGN_OR_RETURN(const std::string text, core::ReadFile(path));
  return Reader(text, path).Read();
}

}  // namespace orchard::server::internal
