#pragma once

#include <string>
#include <vector>

#include "training/log/records.h"

/// \file
/// Runs for people: tables of text.

namespace orchard::training {

/// A line a run, in the order given. `self`: whose machine it is, for StateOf.
std::string ListText(const std::vector<RunHistory>& histories, const ProcessId& self);

/// All of a run but its recipe's text: pieces, facts, an epoch a line, files.
std::string ShowText(const RunHistory& history, const ProcessId& self);

/// What differs between runs: fields of the recipes, facts, and their best figures beside each
/// other.
std::string CompareText(const std::vector<RunHistory>& histories, const ProcessId& self);

// The same as JSON: an array of summaries; a history with its state; {"runs", "recipe", "facts"}.
std::string ListJson(const std::vector<RunHistory>& histories, const ProcessId& self);
std::string ShowJson(const RunHistory& history, const ProcessId& self);
std::string CompareJson(const std::vector<RunHistory>& histories, const ProcessId& self);

}  // namespace orchard::training
