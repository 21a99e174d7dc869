#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <future>
#include <latch>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include <prometheus/registry.h>

#include "router/gather.h"
#include "router/pipeline.h"
#include "router/render.h"
#include "router/served_model.h"
#include "tests/testing/classify_options.h"
#include "tests/testing/eventually.h"
#include "tests/testing/fake_expert.h"
#include "tests/unit/router/small_model.h"

/// \file
/// A pipeline over fakes: a picture's colour says what the gates think of it, and each domain has a
/// FakeExpert.

namespace orchard::router::testing {

using Answer = absl::StatusOr<v1::ClassifyResponse>;

/// A PPM file of 8 x 8 pixels in one colour; `red` names the picture.
inline std::string Picture(std::uint8_t red) {
  std::string file = "P6\n8 8\n255\n";
  for (int i = 0; i < 64; ++i) file += {static_cast<char>(red), '\0', '\0'};
  return file;
}

/// What an expert says when nothing else is asked of it: the first class has `first`, the others
/// share the rest; in every row.
inline model::ScoreBatch Scores(size_t rows, size_t classes, double first) {
  model::ScoreBatch scores = orchard::testing::FlatScores(
      rows, classes, static_cast<float>(std::log((1.0 - first) / double(classes - 1))));
  for (size_t row = 0; row < rows; ++row) {
    scores.log_probabilities[row * classes] = static_cast<float>(std::log(first));
  }
  return scores;
}

/// The next wave of a picture that is planned for alone.
inline std::vector<size_t> Next(
    Gather& gather, const std::vector<std::optional<experts::MissingReason>>& unavailable) {
  PlanRoom room;
  const std::span<const size_t> wave = gather.Next(unavailable, room);
  return {wave.begin(), wave.end()};
}

inline Answer Rendered(const absl::StatusOr<Classification>& given) {
  if (!given.ok()) return given.status();
  return Render(*given, /*domains=*/true);
}

/// The trace of the picture of that red.
inline core::TraceContext TraceOf(std::uint8_t red) {
  return {.trace_high = 1, .trace_low = 2, .span = std::uint64_t{red} + 1, .flags = 1};
}

class Line {
 public:
  /// Probabilities of the three domains, by the picture's red; what is not here has these.
  using Gates = std::map<std::uint8_t, std::vector<double>>;

  struct Options {
    Gates gates = {};
    std::vector<double> usual_gates = {0.7, 0.2, 0.1};
    Pipeline::Settings settings = {};
    ModelExperts::Options experts = {};
    double unknown_score = 0.0;  ///< of every picture; the small model's threshold is -10
    std::function<absl::Status()> on_encode = {};  ///< runs before each forward pass
    std::optional<std::uint8_t> broken = {};       ///< the encoder fails on a picture of that red
    std::vector<bool> has_expert = {true, true, true};
    std::unique_ptr<experts::Expert> rice_expert = nullptr;  ///< instead of a FakeExpert
    std::vector<Observer*> observers = {};
    vision::Profile profile = {.shorter_side = 4, .crop = 4};
    std::vector<PictureView> picture_views = {};  ///< as ServedModel::Parts
    std::vector<std::optional<size_t>> picture_view_of = {};
  };

  Line() : Line(Options{}) {}
  explicit Line(Options options) : options_(std::move(options)), catalogue_(SmallCatalogue()) {
    std::vector<std::unique_ptr<experts::Expert>> fleet;
    for (size_t domain = 0; domain < kSmallDomains; ++domain) {
      auto expert =
          options_.has_expert[domain] ? std::make_unique<orchard::testing::FakeExpert>() : nullptr;
      experts_.push_back(expert.get());
      fleet.push_back(std::move(expert));
      if (domain == kRiceDisease && options_.rice_expert != nullptr) {
        experts_.back() = nullptr;
        fleet.back() = std::move(options_.rice_expert);
      }
    }
    for (size_t domain = 0; domain < kSmallDomains; ++domain) AnswerWell(domain);
    metrics_.emplace(registry_);
    model_ = MakeModel(
        "small", /*place=*/0,
        [this](std::span<const std::uint8_t> pixels, size_t rows) { return Encode(pixels, rows); },
        std::move(fleet));
    options_.settings.limits.formats = {vision::Format::kPpm};
    options_.settings.domains = {kSmallDomains, kSmallDomains};  // Room for a second model.
    pipeline_.emplace(options_.settings, timers_, *metrics_, options_.observers);
  }

  /// Another model of the same domains, each of whose experts answers well.
  std::shared_ptr<ServedModel> SecondModel(const std::string& name, router::Encode encode) {
    std::vector<std::unique_ptr<experts::Expert>> fleet;
    for (const size_t classes : catalogue_.taxonomy.classes) {
      fleet.push_back(std::make_unique<orchard::testing::FakeExpert>(
          [classes](const experts::SubBatch& batch, const auto&) {
            return Scores(batch.rows.size(), classes, 0.9);
          }));
    }
    return MakeModel(name, /*place=*/1, std::move(encode), std::move(fleet));
  }

  Pipeline& pipeline() { return *pipeline_; }
  const std::shared_ptr<ServedModel>& model() { return model_; }
  ExpertFleet& fleet() { return model_->fleet(); }
  orchard::testing::FakeExpert& expert(size_t domain) { return *experts_[domain]; }
  prometheus::Registry& registry() { return registry_; }

  /// The expert answers at once from now on: its first class has probability `first`.
  void AnswerWell(size_t domain, double first = 0.9) {
    if (experts_[domain] == nullptr) return;
    const size_t classes = catalogue_.taxonomy.classes[domain];
    experts_[domain]->AnswerBy([classes, first](const experts::SubBatch& batch, const auto&) {
      return Scores(batch.rows.size(), classes, first);
    });
  }

  /// What a picture's red says, as the options have it.
  absl::StatusOr<Encoded> EncodeReds(std::span<const std::uint8_t> pixels, size_t rows) {
    return Encode(pixels, rows);
  }

  /// A future breaks when its request is never answered, and throws when it is answered twice.
  std::future<Answer> Start(std::uint8_t red, v1::ClassifyOptions options = {},
                            std::optional<core::Clock::time_point> deadline = std::nullopt,
                            std::stop_token cancelled = {},
                            std::shared_ptr<ServedModel> model = nullptr) {
    auto promise = std::make_shared<std::promise<Answer>>();  // Owned by the callback.
    const absl::StatusOr<router::Options> parsed = pipeline_->Parse(options, catalogue_);
    if (!parsed.ok()) {
      promise->set_value(parsed.status());
      return promise->get_future();
    }
    auto file = std::make_shared<const std::string>(Picture(red));
    Job job{.model = model ? std::move(model) : model_,
            .image = *file,
            .options = *parsed,
            .deadline = deadline,
            .method = Method::kClassify,
            .request_id = "r" + std::to_string(red),
            .trace = TraceOf(red),
            .cancelled = std::move(cancelled)};
    std::future<Answer> answer = promise->get_future();
    pipeline_->Start(std::move(job), [promise, file](const absl::StatusOr<Classification>& given) {
      promise->set_value(Rendered(given));
    });
    return answer;
  }

  Answer Classify(std::uint8_t red = 1, v1::ClassifyOptions options = {}) {
    return Start(red, std::move(options)).get();
  }

  /// Stops the pipeline: whatever is in progress is answered by the end of this.
  void Stop() { pipeline_.reset(); }

 private:
  std::shared_ptr<ServedModel> MakeModel(const std::string& name, size_t place,
                                         router::Encode encode,
                                         std::vector<std::unique_ptr<experts::Expert>> fleet) {
    ServedModel::Parts parts{
        .manifest = SmallManifest(),
        .catalogue = catalogue_,
        .profile = options_.profile,
        .picture_views = options_.picture_views,
        .picture_view_of = options_.picture_view_of,
        .encode = std::move(encode),
        .place = place,
        .metrics = std::make_unique<ModelMetrics>(registry_, catalogue_.domains,
                                                  ModelMetrics::ModelInfo{.name = name}),
        .fleet = std::make_unique<ExpertFleet>(std::move(fleet)),
        .experts = options_.experts};
    parts.manifest.set_name(name);
    parts.catalogue.version = name + "/7";
    return std::make_shared<ServedModel>(std::move(parts), timers_);
  }

  /// As the encoder and the gates of the model would.
  absl::StatusOr<Encoded> Encode(std::span<const std::uint8_t> pixels, size_t rows) {
    if (options_.on_encode) {
      if (absl::Status status = options_.on_encode(); !status.ok()) return status;
    }
    Encoded encoded;
    encoded.features.rows = rows;
    std::vector<float> pooled;
    encoded.gates = {.rows = rows,
                     .branches = 2,
                     .domains = kSmallDomains,
                     .log_branch = {},
                     .log_domain = {},
                     .unknown_score = {}};
    for (size_t row = 0; row < rows; ++row) {
      const std::uint8_t red = pixels[row * pixels.size() / rows];
      if (red == options_.broken) return absl::InternalError("NaN among the features");
      const auto found = options_.gates.find(red);
      const std::vector<double>& p =
          found == options_.gates.end() ? options_.usual_gates : found->second;
      pooled.push_back(red);
      for (const double log : Logs({p[0], p[1] + p[2]})) encoded.gates.log_branch.push_back(log);
      for (const double log : Logs(p)) encoded.gates.log_domain.push_back(log);
      encoded.gates.unknown_score.push_back(options_.unknown_score);
    }
    encoded.features.views.push_back(std::make_shared<const core::View>(
        std::make_shared<const core::ViewSpec>(core::ViewSpec{.row_shape = {1}}),
        std::move(pooled)));
    return encoded;
  }

  Options options_;
  const Catalogue catalogue_;
  prometheus::Registry registry_;
  std::vector<orchard::testing::FakeExpert*> experts_;  // The fleet's.
  std::optional<Metrics> metrics_;
  std::shared_ptr<ServedModel> model_;
  core::TimerQueue timers_;
  std::optional<Pipeline> pipeline_;
};

using orchard::testing::Pinned;
using orchard::testing::With;

/// Holds the first forward pass, so that what comes meanwhile makes one micro-batch.
struct HeldEncoder {
  std::latch first_started{1};
  std::latch release{1};
  std::atomic<int> passes = 0;

  std::function<absl::Status()> Hook() {
    return [this] {
      if (passes.fetch_add(1) == 0) {
        first_started.count_down();
        release.wait();
      }
      return absl::OkStatus();
    };
  }
};

/// Until `waiting` requests wait for the encoder, which is busy.
inline void AwaitQueue(Pipeline& pipeline, size_t waiting) {
  EXPECT_TRUE(
      orchard::testing::Eventually([&] { return pipeline.Load().encode_waiting >= waiting; }));
}

}  // namespace orchard::router::testing
