#include "training/log/recipe_fields.h"

#include <algorithm>
#include <map>
#include <sstream>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace orchard::training {
namespace {

/// A message or, without children, a scalar.
struct Node {
  std::string key, value;
  std::vector<Node> children;

  /// The value of the child `name`, without its quotes; empty without one.
  std::string Name() const {
    for (const Node& child : children) {
      if (child.key != "name" || !child.children.empty()) continue;
      absl::string_view name = child.value;
      absl::ConsumePrefix(&name, "\"");
      absl::ConsumeSuffix(&name, "\"");
      return std::string(name);
    }
    return {};
  }
};

/// Up to the "}" that ends the message, or the text's end. One field a line, as TextFormat prints.
void Read(std::istringstream& lines, Node& message) {
  for (std::string line; std::getline(lines, line);) {
    absl::string_view text = absl::StripAsciiWhitespace(line);
    if (text == "}") return;
    if (absl::ConsumeSuffix(&text, "{")) {
      Node& child = message.children.emplace_back();
      child.key = std::string(absl::StripAsciiWhitespace(text));
      Read(lines, child);
    } else if (const size_t colon = text.find(':'); colon != absl::string_view::npos) {
      message.children.push_back(
          {.key = std::string(text.substr(0, colon)),
           .value = std::string(absl::StripAsciiWhitespace(text.substr(colon + 1))),
           .children = {}});
    }
  }
}

using Fields = std::vector<std::pair<std::string, std::string>>;

void Flatten(const Node& message, const std::string& path, Fields& fields) {
  std::map<std::string, size_t> counts, seen;
  for (const Node& child : message.children) ++counts[child.key];
  for (const Node& child : message.children) {
    std::string own = path.empty() ? child.key : absl::StrCat(path, ".", child.key);
    const size_t number = seen[child.key]++;
    const bool scalar = !child.value.empty();
    if (scalar && number > 0) {  // A repeated scalar is one list.
      const auto list = std::ranges::find(fields, own, &Fields::value_type::first);
      absl::StrAppend(&list->second, ", ", child.value);
      continue;
    }
    if (scalar) {
      fields.emplace_back(own, child.value);
      continue;
    }
    const std::string name = child.Name();
    if (counts[child.key] > 1 || !name.empty()) {
      absl::StrAppend(&own, "[", name.empty() ? absl::StrCat(number) : name, "]");
    }
    if (child.children.empty()) fields.emplace_back(own, "{}");
    Flatten(child, own, fields);
  }
}

}  // namespace

std::vector<std::pair<std::string, std::string>> RecipeFields(const std::string& text) {
  std::istringstream lines(text);
  Node recipe;
  Read(lines, recipe);
  Fields fields;
  Flatten(recipe, "", fields);
  return fields;
}

std::vector<RecipeDifference> CompareRecipes(const std::vector<std::string>& texts) {
  std::vector<RecipeDifference> all;  // Every field, each once.
  std::map<std::string, size_t> index;
  for (size_t i = 0; i < texts.size(); ++i) {
    for (const auto& [field, value] : RecipeFields(texts[i])) {
      const auto [at, is_new] = index.emplace(field, all.size());
      if (is_new) all.push_back({field, std::vector<std::string>(texts.size())});
      all[at->second].values[i] = value;
    }
  }
  std::erase_if(all, [](const RecipeDifference& field) {
    return std::ranges::all_of(field.values,
                               [&](const std::string& value) { return value == field.values[0]; });
  });
  return all;
}

}  // namespace orchard::training
