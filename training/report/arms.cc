#include "training/report/arms.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include <nlohmann/json.hpp>

#include "core/printable.h"
#include "core/status.h"
#include "training/recipe.h"
#include "training/work_folder.h"

namespace orchard::training {
namespace {

/// A picture's answer, and the run that gave it.
struct Answer {
  const Prediction* prediction = nullptr;
  size_t run = 0;
};
using BySeed = std::map<std::uint64_t, std::map<std::string, Answer>>;  // seed → picture

/// All runs of one recipe name.
struct Gathered {
  std::string recipe;
  BySeed answers;
};

absl::StatusOr<std::vector<Gathered>> Gather(const std::vector<RunAnswers>& runs) {
  std::vector<Gathered> all;
  for (size_t r = 0; r < runs.size(); ++r) {
    auto arm = std::ranges::find(all, runs[r].recipe, &Gathered::recipe);
    if (arm == all.end())
      arm = all.insert(all.end(), Gathered{.recipe = runs[r].recipe, .answers = {}});
    auto& pictures = arm->answers[runs[r].seed];
    for (const Prediction& one : runs[r].predictions) {
      const auto [place, fresh] = pictures.try_emplace(one.picture, Answer{&one, r});
      if (fresh) continue;
      return absl::InvalidArgumentError(absl::StrCat(
          runs[r].work, " and ", runs[place->second.run].work, " both answer ", one.picture, " as ",
          runs[r].recipe, " with seed ", runs[r].seed, ": one fold twice, or folds of two splits"));
    }
  }
  return all;
}

/// Whether `arm` answers the same pictures with the same seeds as the first one.
absl::Status CheckSame(const Gathered& first, const Gathered& arm) {
  std::vector<std::uint64_t> wanted, seeds;
  for (const auto& [seed, pictures] : first.answers) wanted.push_back(seed);
  for (const auto& [seed, pictures] : arm.answers) seeds.push_back(seed);
  if (seeds != wanted) {
    return absl::InvalidArgumentError(
        absl::StrCat(arm.recipe, " has the seeds ", absl::StrJoin(seeds, ", "), ", ", first.recipe,
                     " has ", absl::StrJoin(wanted, ", "), ": compare networks of the same seeds"));
  }
  const auto& all = first.answers.begin()->second;
  for (const auto& [seed, pictures] : arm.answers) {
    for (const auto& [picture, answer] : all) {
      const auto found = pictures.find(picture);
      if (found != pictures.end() && found->second.prediction->label == answer.prediction->label) {
        continue;
      }
      return absl::InvalidArgumentError(
          absl::StrCat(arm.recipe, " with seed ", seed,
                       found == pictures.end() ? " has not answered " : " has another label for ",
                       picture, ", as ", first.recipe, " has: is a fold missing?"));
    }
    if (pictures.size() == all.size()) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(arm.recipe, " with seed ", seed, " has answered ", pictures.size(),
                     " pictures, ", first.recipe, " ", all.size(), ": is a fold missing?"));
  }
  return absl::OkStatus();
}

/// What most seeds answer.
std::string Vote(const std::vector<const Prediction*>& answers) {
  std::map<std::string, std::pair<size_t, double>> votes;  // How many, how sure.
  for (const Prediction* one : answers) {
    auto& [count, sure] = votes[one->answer];
    ++count;
    sure += one->probability;
  }
  return std::ranges::max_element(votes, {}, [](const auto& vote) { return vote.second; })->first;
}

Arm ArmOf(const Gathered& gathered) {
  Arm arm{.name = gathered.recipe, .right = {}, .vote_right = {}};
  for (const auto& [seed, pictures] : gathered.answers) {
    auto& right = arm.right.emplace_back();
    for (const auto& [picture, answer] : pictures) right.push_back(answer.prediction->right());
  }
  for (const auto& [picture, first] : gathered.answers.begin()->second) {
    std::vector<const Prediction*> answers;
    for (const auto& [seed, pictures] : gathered.answers) {
      answers.push_back(pictures.at(picture).prediction);
    }
    arm.vote_right.push_back(Vote(answers) == first.prediction->label);
  }
  return arm;
}

std::string Percent(double share) { return absl::StrFormat("%.2f", 100.0 * share); }

std::string Percent(const Interval& interval) {
  return absl::StrFormat("[%.2f, %.2f]", 100.0 * interval.low, 100.0 * interval.high);
}

nlohmann::ordered_json Pair(const Interval& interval) { return {interval.low, interval.high}; }

}  // namespace

absl::StatusOr<RunAnswers> ReadRunAnswers(const std::filesystem::path& work,
                                          const std::string& split) {
  ORCHARD_ASSIGN_OR_RETURN(const v1::Recipe recipe, ReadRecipe(work / kRecipe, {}));
  RunAnswers run{
      .work = work.string(), .recipe = recipe.name(), .seed = recipe.seed(), .predictions = {}};
  ORCHARD_ASSIGN_OR_RETURN(run.predictions,
                           ReadPredictions(work / absl::StrCat("predictions-", split, ".tsv")));
  return run;
}

absl::StatusOr<Arms> GatherArms(const std::vector<RunAnswers>& runs) {
  ORCHARD_ASSIGN_OR_RETURN(const std::vector<Gathered> all, Gather(runs));
  if (all.empty() || all.front().answers.begin()->second.empty()) {
    return absl::InvalidArgumentError("there is no run with an answer to compare");
  }
  Arms arms;
  for (const Gathered& gathered : all) {
    ORCHARD_RETURN_IF_ERROR(CheckSame(all.front(), gathered));
    arms.arms.push_back(ArmOf(gathered));
  }
  for (const auto& [seed, pictures] : all.front().answers) arms.seeds.push_back(seed);
  for (const auto& [picture, answer] : all.front().answers.begin()->second) {
    arms.fold.push_back(answer.run);
  }
  return arms;
}

std::string ToText(const Arms& arms, const Comparison& comparison) {
  std::string text = absl::StrFormat(
      "%d pictures, %d seeds; accuracies in percent, intervals of 95 %%\n%-28s %8s %8s %8s %8s  "
      "%s\n",
      arms.fold.size(), arms.seeds.size(), "network", "mean", "least", "most", "votes", "Wilson");
  for (size_t a = 0; a < arms.arms.size(); ++a) {
    const ArmFigures& figures = comparison.arms[a];
    const auto [least, most] = std::ranges::minmax_element(figures.seeds, {}, &Hits::hits);
    absl::StrAppendFormat(&text, "%-28s %8s %8s %8s %8s  %s\n", core::Printable(arms.arms[a].name),
                          Percent(figures.mean), Percent(least->Share()), Percent(most->Share()),
                          Percent(figures.vote.Share()), Percent(figures.interval));
  }
  for (const PairFigures& pair : comparison.pairs) {
    absl::StrAppendFormat(
        &text,
        "%s against %s: votes %+.2f %s, alone right %d and %d, McNemar p %.3g, Holm %.3g; mean of "
        "seeds %+.2f, bootstrap %s\n",
        core::Printable(arms.arms[pair.first].name), core::Printable(arms.arms[pair.second].name),
        100.0 * pair.votes.Difference(), Percent(pair.interval), pair.votes.only_first,
        pair.votes.only_second, pair.p, pair.holm, 100.0 * pair.mean_difference,
        Percent(pair.bootstrap));
  }
  return text;
}

std::string ToJson(const Arms& arms, const Comparison& comparison) {
  nlohmann::ordered_json json = {{"pictures", arms.fold.size()}, {"seeds", arms.seeds}};
  json["networks"] = nlohmann::ordered_json::array();
  for (size_t a = 0; a < arms.arms.size(); ++a) {
    const ArmFigures& figures = comparison.arms[a];
    std::vector<double> accuracies;
    for (const Hits& seed : figures.seeds) accuracies.push_back(seed.Share());
    json["networks"].push_back({{"name", arms.arms[a].name},
                                {"accuracy_by_seed", accuracies},
                                {"mean", figures.mean},
                                {"votes", figures.vote.Share()},
                                {"interval", Pair(figures.interval)}});
  }
  json["pairs"] = nlohmann::ordered_json::array();
  for (const PairFigures& pair : comparison.pairs) {
    json["pairs"].push_back({{"first", arms.arms[pair.first].name},
                             {"second", arms.arms[pair.second].name},
                             {"difference", pair.votes.Difference()},
                             {"interval", Pair(pair.interval)},
                             {"only_first", pair.votes.only_first},
                             {"only_second", pair.votes.only_second},
                             {"p", pair.p},
                             {"holm", pair.holm},
                             {"mean_difference", pair.mean_difference},
                             {"bootstrap", Pair(pair.bootstrap)}});
  }
  return json.dump(1) + "\n";
}

}  // namespace orchard::training
