#include "training/measure/served.h"

#include <condition_variable>

#include "core/mutex.h"
#include "core/status.h"
#include "training/data/picture_store.h"

namespace orchard::training {
namespace {

constexpr size_t kInProgress = 32;  ///< pictures
/// A picture: nobody waits for this answer, and a machine that slept for a night goes on.
constexpr std::chrono::hours kPatience{24};

/// Counts what is in progress. Thread-safe.
class InProgress {
 public:
  void Begin() {
    core::MutexLock lock(mutex_);
    while (count_ >= kInProgress) lock.Wait(changed_);
    ++count_;
  }

  void End() {
    core::MutexLock lock(mutex_);
    --count_;
    changed_.notify_all();
  }

  void WaitForAll() {
    core::MutexLock lock(mutex_);
    while (count_ > 0) lock.Wait(changed_);
  }

 private:
  core::Mutex mutex_;
  std::condition_variable changed_;
  size_t count_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace

absl::StatusOr<std::unique_ptr<ServedModel>> ServedModel::Load(
    const std::filesystem::path& version_dir, size_t threads, model::EncoderPrecision precision) {
  std::unique_ptr<ServedModel> served(new ServedModel());
  router::Engine::Config config;
  config.models = {{.version_dir = version_dir}};
  config.encoder_precision = precision;
  config.pipeline.default_deadline = kPatience;
  config.pipeline.max_deadline = kPatience;
  config.pipeline.expert_timeout = kPatience;
  config.pipeline.encode_workers = threads;
  config.pipeline.limits = OwnFiles();
  ORCHARD_ASSIGN_OR_RETURN(served->engine_, router::Engine::Load(config, served->registry_));
  return served;
}

absl::StatusOr<std::vector<router::Classification>> ServedModel::Classify(
    std::span<const Question> questions, std::span<const router::Options> options) {
  std::vector<absl::StatusOr<router::Classification>> answers(questions.size(),
                                                              absl::UnknownError("not asked"));
  std::vector<std::string> bytes(questions.size());
  InProgress in_progress;
  absl::Status read;
  for (size_t i = 0; i < questions.size() && read.ok(); ++i) {
    auto content = BytesOf(questions[i]);
    if (!content.ok()) {
      read = content.status();
      break;
    }
    bytes[i] = *std::move(content);
    in_progress.Begin();
    engine_->pipeline().Start({.model = engine_->models().first(),
                               .image = bytes[i],
                               .options = options[options.size() == 1 ? 0 : i]},
                              [&, i](const absl::StatusOr<router::Classification>& answer) {
                                answers[i] = answer;
                                in_progress.End();  // Last: the waiter may go on at once.
                              });
  }
  in_progress.WaitForAll();
  ORCHARD_RETURN_IF_ERROR(read);
  std::vector<router::Classification> responses;
  for (size_t i = 0; i < questions.size(); ++i) {
    if (!answers[i].ok()) return core::Annotate(answers[i].status(), questions[i].name);
    responses.push_back(*std::move(answers[i]));
  }
  return responses;
}

}  // namespace orchard::training
