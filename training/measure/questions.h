#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "orchard/training/v1/recipe.pb.h"
#include "orchard/v1/model.pb.h"
#include "training/data/picture_set.h"
#include "training/training.h"
#include "vision/vision.h"

namespace orchard::training {

/// A picture that a model is asked about, as a caller would send it: a file, or a picture that lies
/// among others in one.
struct Question {
  std::string name;                      ///< for errors
  std::filesystem::path file = {};       ///< empty: `image` is sent, without loss
  const vision::Image* image = nullptr;  ///< outlives the question
};

std::vector<Question> QuestionsOf(const std::vector<std::filesystem::path>& files);

/// The picture of a set that `recipe` read below `data`; the set outlives it.
Question QuestionOf(const PictureSet& set, size_t picture, const v1::Recipe& recipe,
                    const std::filesystem::path& data);

/// What a caller sends. Errors: UNAVAILABLE or NOT_FOUND naming the file.
absl::StatusOr<std::string> BytesOf(const Question& question);

/// The pictures that are asked, and what they show.
struct Questions {
  std::vector<DomainClasses> domains = {};  ///< the model's
  std::vector<Question> known = {};
  std::vector<Label> labels = {};      ///< [known]
  std::vector<Question> unknown = {};  ///< of none of the model's domains
  size_t left_out = 0;                 ///< pictures that the split leaves out
  PictureSet set = {};                 ///< where they are no files: their pixels
};

/// Of `split` ("train", "validation", "test", "all") of what lies below `data`: what the recipe in
/// the model's evaluation/ names, where one of its domains has a source of its own (GTSRB,
/// CIFAR-10); otherwise, and with "all" wherever they are there, <domain>/<class>/ folders of the
/// model's names. Pictures of no domain are those in kUnknownFolder. Says on stderr which files are
/// no pictures, how many pictures the split leaves out, and with "all" how many were trained on.
/// Errors: as EvaluateModel.
absl::StatusOr<Questions> ReadQuestions(const std::filesystem::path& model,
                                        const orchard::v1::ModelManifest& manifest,
                                        const std::filesystem::path& data, const std::string& split,
                                        size_t threads);

}  // namespace orchard::training
