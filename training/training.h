#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

/// \file
/// From folders of pictures to a served model, and how good it is.
///
///   Recipe{data, optimisation, oneof study} ─► Study (phases, calibration, writing of parts)
///                                                Model: module, LossTerms(batch), parameters,
///                                                modes
///      Task: batches on a device ─► Loop (device, arithmetic, accumulation, clipping, guard)
///                                                ─► Callbacks (progress, schedule, average,
///                                                   validation, early stop, checkpoint, run log)
///
/// data/, loop/, measure/ and log/ know no study; studies/<name>/ holds what is special to one.
/// Read in this order:
///   recipe.h (what is asked for), study.h, work_folder.h (what a run leaves behind), parts.h;
///   data/: dataset.h, groups.h, split.h, folds.h, undersample.h (which pictures), picture_store.h,
///   source.h, picture_set.h (of any source), survey.h, sampler.h, loader.h, mirrors.h, mixing.h,
///   batch.h (from pictures to batches), statements.h, table.h, parallel.h; loop/: task.h, model.h,
///   loop.h (a step), callback.h, callbacks.h (what happens beside it), optimiser.h, schedule.h,
///   average.h, checkpoint.h, picture_task.h, feature_task.h, classifier.h, gates.h,
///   standardise.h, device.h; log/: progress.h, say.h, run_log.h, record_epochs.h, picture_facts.h,
///   history.h (what a run says of itself), records.h, run_store.h, recorder.h (where it stays);
///   measure/: statistics.h, hits.h, calibration.h, classification.h, picture_answers.h,
///   comparison.h, concepts.h, questions.h, served_encoder.h, served.h, evaluate.h, report.h,
///   record.h; fit_classifier.h; head_checks.h;
///   studies/masked_moe/: masked_moe.h, folded.h, sharded_encoder.h (network and loss), features.h,
///   models.h, run.h, fit.h (the training), calibrate.h, encoder_only.h, provenance.h, export.h;
///   studies/vit_moe/: statements.h, model.h, answers.h, run.h, fit.h, router_health.h,
///   error_signals.h, weather.h, measure.h, export.h; studies/gates/: statements.h, pictures.h,
///   learn.h, run.h, fit.h, experts.h, answers.h, provenance.h, export.h; studies/fruit_nets/:
///   statements.h, run.h, answers.h, model.h, fit.h, measure.h; report/: gnuplot.h, predictions.h,
///   run_page.h (a run as a page), arms.h; onnx/onnx.h (networks as files); new_recipe.h,
///   self_test.h, commands/, main.cc.
/// Conventions: everything is seeded; a label is an index; domains are in the recipe's order,
/// classes of a domain in the order of their names; logarithms are natural.

namespace orchard::training {

/// One domain and its classes, in the order of indices.
struct DomainClasses {
  std::string name;
  std::string branch;
  std::vector<std::string> classes;
};

/// What a picture shows.
struct Label {
  size_t domain = 0;
  size_t label = 0;  ///< index among the domain's classes

  friend bool operator==(const Label&, const Label&) = default;
};

/// Turns a seed and up to two positions into an independent seed (splitmix64's finaliser), so that
/// what is random depends on where it is used and never on what was drawn before.
inline std::uint64_t Mix(std::uint64_t seed, std::uint64_t a, std::uint64_t b = 0) {
  std::uint64_t z = seed + 0x9E3779B97F4A7C15ULL * (a + 1) + 0xD1B54A32D192ED03ULL * (b + 1);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
  return z ^ (z >> 31);
}

}  // namespace orchard::training
