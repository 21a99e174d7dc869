#include "clients/cpp/classify_command.h"

#include <algorithm>
#include <atomic>
#include <optional>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include <CLI/CLI.hpp>

#include "clients/cpp/pictures.h"
#include "clients/cpp/progress.h"
#include "clients/cpp/render.h"
#include "core/clock.h"
#include "core/mutex.h"
#include "core/status.h"

namespace orchard::client {
namespace {

/// Pictures from which a progress bar is worth its flicker.
constexpr size_t kBarFrom = 8;

/// Writes lines in the order of pictures, whatever the order of answers; counts failures. Writes no
/// answer after the first that could not be written. Thread-safe.
class Report {
 public:
  Report(size_t pictures, bool keep_order, const Streams& streams)
      : pictures_(pictures),
        keep_order_(keep_order),
        streams_(streams),
        bar_(streams.err, pictures, streams.err_is_terminal && pictures >= kBarFrom),
        lines_(pictures) {}

  void Heading(const std::string& line) {
    core::MutexLock lock(mutex_);
    written_ = WriteAnswer(streams_.out, absl::StrCat(line, "\n"));
  }

  void Answer(size_t picture, std::string line) {
    Add(picture, {.text = std::move(line), .failed = false});
  }

  /// `line` names the file or the folder.
  void Failure(size_t picture, const std::string& line) {
    Add(picture, {.text = line, .failed = true});
  }

  size_t failures() const ABSL_LOCKS_EXCLUDED(mutex_) {
    core::MutexLock lock(mutex_);
    return failures_;
  }

  /// Why answers could not be written; OK while they could.
  absl::Status written() const ABSL_LOCKS_EXCLUDED(mutex_) {
    core::MutexLock lock(mutex_);
    return written_;
  }

 private:
  struct Line {
    std::string text;
    bool failed = false;
  };

  void Add(size_t picture, Line line) ABSL_LOCKS_EXCLUDED(mutex_) {
    core::MutexLock lock(mutex_);
    ++done_;
    if (line.failed) ++failures_;
    bar_.Hide();
    if (keep_order_) {
      lines_[picture] = std::move(line);
      for (; next_ < lines_.size() && lines_[next_]; ++next_)
        Write(*std::exchange(lines_[next_], {}));
    } else {
      Write(line);
    }
    if (done_ < pictures_) bar_.Show(done_);
  }

  void Write(const Line& line) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (line.failed) {
      WriteFault(streams_.err, line.text);
    } else if (written_.ok()) {
      written_ = WriteAnswer(streams_.out, absl::StrCat(line.text, "\n"));
    }
  }

  const size_t pictures_;
  const bool keep_order_;
  const Streams& streams_;
  mutable core::Mutex mutex_;
  ProgressBar bar_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::optional<Line>> lines_ ABSL_GUARDED_BY(mutex_);  // waiting for their turn
  size_t next_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t done_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t failures_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status written_ ABSL_GUARDED_BY(mutex_);
};

absl::StatusOr<v1::ClassifyRequest> MakeRequest(const ClassifyCommand& command,
                                                const absl::StatusOr<std::string>& name,
                                                const PictureReader& reader) {
  ORCHARD_RETURN_IF_ERROR(name.status());
  v1::ClassifyRequest request;
  ORCHARD_ASSIGN_OR_RETURN(*request.mutable_image(), reader.Read(*name));
  *request.mutable_options() = command.options;
  request.set_model(command.model);
  return request;
}

void ClassifyOne(const ClassifyCommand& command, const absl::StatusOr<std::string>& name,
                 const PictureReader& reader, size_t picture, size_t file_width, Client& client,
                 Report& report) {
  const auto request = MakeRequest(command, name, reader);
  if (!request.ok()) {
    report.Failure(picture, std::string(request.status().message()));
    return;
  }
  const std::string& file = *name;
  const auto begin = core::Clock::now();
  const auto response = client.Classify(*request);
  const double took_ms = core::Milliseconds(core::Clock::now() - begin);
  if (!response.ok()) {
    report.Failure(picture, absl::StrCat(file, ": ", Reason(response.status())));
  } else if (command.json) {
    report.Answer(picture, AnswerJson(file, *response, took_ms));
  } else {
    report.Answer(picture, AnswerLine(file, *response, file_width));
  }
}

}  // namespace

void DeclareClassify(CLI::App& app, ClassifyCommand& command) {
  DeclareServer(app, command.server);
  DeclarePictures(app, command.arguments);
  DeclareModel(app, command.model);
  DeclareClassifyOptions(app, command.options);
  app.add_option("--concurrency", command.concurrency, "pictures in progress at a time")
      ->check(CLI::Range(1, 256))
      ->type_name("N")
      ->capture_default_str();
  app.add_flag("--json", command.json, "one JSON object a line, in any order");
}

int RunClassify(const ClassifyCommand& command, const Streams& streams) {
  const auto pictures = ExpandPictures(command.arguments);
  Client client(command.server);
  if (!client.status().ok()) {
    WriteFault(streams.err, Reason(client.status()));
    return kSomeFailed;
  }
  SizeLimit limit([&client] { return MostImageBytes(client); });
  const PictureReader reader(pictures, streams.in, limit, command.server.timeout);
  size_t width = 4;
  for (const auto& name : pictures) width = std::max(width, name.ok() ? FileWidth(*name) : 0);
  Report report(pictures.size(), /*keep_order=*/!command.json, streams);
  if (!command.json) report.Heading(AnswerHeading(width));
  std::atomic<size_t> next{0};
  std::vector<std::jthread> workers;
  for (size_t i = 0; i < std::min(command.concurrency, pictures.size()); ++i) {
    workers.emplace_back([&] {
      for (size_t picture = next++; picture < pictures.size() && report.written().ok();
           picture = next++) {
        ClassifyOne(command, pictures[picture], reader, picture, width, client, report);
      }
    });
  }
  workers.clear();  // Joins.
  const absl::Status written = report.written();
  if (!written.ok()) WriteFault(streams.err, std::string(written.message()));
  return written.ok() && report.failures() == 0 ? kAllDone : kSomeFailed;
}

}  // namespace orchard::client
