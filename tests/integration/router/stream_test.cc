#include <map>
#include <string>
#include <thread>

#include <gmock/gmock.h>
#include <grpcpp/support/sync_stream.h>
#include <gtest/gtest.h>

#include "tests/integration/router/running_router.h"
#include "tests/testing/pictures.h"
#include "tests/testing/status_matchers.h"

namespace orchard::router {
namespace {

using ::testing::HasSubstr;
using testing::RunningRouter;
using ::testing::SizeIs;

std::string Leaf(unsigned seed) {
  return orchard::testing::EncodeJpeg(orchard::testing::DrawLeaf(260, 260, seed));
}

v1::ClassifyStreamRequest Request(const std::string& id, const std::string& image) {
  v1::ClassifyStreamRequest request;
  request.set_id(id);
  request.mutable_request()->set_image(image);
  return request;
}

class Stream {
 public:
  explicit Stream(RunningRouter& router) : stream_(router.stub().ClassifyStream(&context_)) {}

  bool Send(const std::string& id, const std::string& image) {
    return stream_->Write(Request(id, image));
  }

  bool Send(const v1::ClassifyStreamRequest& request) { return stream_->Write(request); }

  /// The answers by id, and the status, until the end.
  std::map<std::string, v1::ClassifyStreamResponse> ReadAll() {
    std::map<std::string, v1::ClassifyStreamResponse> answers;
    v1::ClassifyStreamResponse answer;
    while (stream_->Read(&answer)) answers[answer.id()] = answer;
    return answers;
  }

  void WritesDone() { stream_->WritesDone(); }
  grpc::Status Finish() { return stream_->Finish(); }
  void Cancel() { context_.TryCancel(); }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::ClassifyStreamRequest, v1::ClassifyStreamResponse>>
      stream_;
};

TEST(ClassifyStreamTest, AnswersEveryIdOnce) {
  Engine::Config config;
  config.pipeline.decode_workers = 2;
  RunningRouter router(config, /*max_stream_in_flight=*/4);
  Stream stream(router);
  std::jthread writer([&] {
    for (unsigned i = 0; i < 30; ++i) {
      EXPECT_TRUE(stream.Send("leaf-" + std::to_string(i), Leaf(i % 5)));
    }
    stream.WritesDone();
  });
  const auto answers = stream.ReadAll();
  EXPECT_THAT(answers, SizeIs(30));
  for (const auto& [id, answer] : answers) EXPECT_TRUE(answer.has_response()) << id;
  EXPECT_TRUE(stream.Finish().ok());
  EXPECT_EQ(answers.at("leaf-3").response().predictions(0).probability(),
            router.Classify(Leaf(3))->predictions(0).probability());
}

TEST(ClassifyStreamTest, AFailedPictureHasAnErrorAndTheStreamGoesOn) {
  RunningRouter router;
  Stream stream(router);
  stream.Send("good", Leaf(1));
  stream.Send("bad", "not a picture");
  stream.Send(std::string(200, 'i'), Leaf(1));
  stream.Send("also good", Leaf(2));
  stream.WritesDone();
  const auto answers = stream.ReadAll();
  ASSERT_THAT(answers, SizeIs(4));
  EXPECT_TRUE(answers.at("good").has_response());
  EXPECT_TRUE(answers.at("also good").has_response());
  EXPECT_EQ(answers.at("bad").error().code(), grpc::StatusCode::INVALID_ARGUMENT);
  const v1::ClassifyStreamResponse& long_id = answers.at(std::string(128, 'i'));
  EXPECT_EQ(long_id.error().code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(long_id.error().message(), HasSubstr("200 bytes, the limit is 128"));
  EXPECT_TRUE(stream.Finish().ok());
}

TEST(ClassifyStreamTest, ALongIdIsNotCutInsideACharacter) {
  RunningRouter router;
  Stream stream(router);
  std::string id(127, 'i');
  id += "\xC3\xA4\xC3\xA4";  // Two letters of two bytes: the limit falls into the first.
  stream.Send(id, Leaf(1));
  stream.WritesDone();
  EXPECT_EQ(stream.ReadAll().count(std::string(127, 'i')), 1U);
  EXPECT_TRUE(stream.Finish().ok());
}

TEST(ClassifyStreamTest, AnUnknownDomainThatIsCutInsideACharacterDoesNotBreakTheStream) {
  RunningRouter router;
  Stream stream(router);
  v1::ClassifyStreamRequest request = Request("bad", Leaf(1));
  request.mutable_request()->mutable_options()->set_domain(std::string(63, 'd') + "\xC3\xA4");
  stream.Send(request);
  stream.Send("good", Leaf(1));
  stream.WritesDone();
  const auto answers = stream.ReadAll();
  ASSERT_THAT(answers, SizeIs(2));
  EXPECT_THAT(answers.at("bad").error().message(),
              HasSubstr("\"" + std::string(63, 'd') + "\", must be one of"));
  EXPECT_TRUE(answers.at("good").has_response());
  EXPECT_TRUE(stream.Finish().ok());
}

TEST(ClassifyStreamTest, ReadsNoFurtherWhileItHasAsManyInProgressAsItAllows) {
  Engine::Config config;
  config.pipeline.in_flight = 2;  // A third picture at a time would be refused.
  RunningRouter router(config, /*max_stream_in_flight=*/2);
  Stream stream(router);
  std::jthread writer([&] {
    for (unsigned i = 0; i < 20; ++i) stream.Send(std::to_string(i), Leaf(i));
    stream.WritesDone();
  });
  const auto answers = stream.ReadAll();
  EXPECT_THAT(answers, SizeIs(20));
  for (const auto& [id, answer] : answers) EXPECT_TRUE(answer.has_response()) << id;
  EXPECT_TRUE(stream.Finish().ok());
}

TEST(ClassifyStreamTest, AnEmptyStreamEndsWell) {
  RunningRouter router;
  Stream stream(router);
  stream.WritesDone();
  EXPECT_THAT(stream.ReadAll(), SizeIs(0));
  EXPECT_TRUE(stream.Finish().ok());
}

TEST(ClassifyStreamTest, ACallerThatGoesLeavesNothingBehind) {
  RunningRouter router;
  {
    Stream stream(router);
    for (unsigned i = 0; i < 8; ++i) stream.Send(std::to_string(i), Leaf(i));
    stream.Cancel();
    stream.ReadAll();
    EXPECT_EQ(stream.Finish().error_code(), grpc::StatusCode::CANCELLED);
  }
  EXPECT_THAT(router.Classify(Leaf(1)), orchard::testing::IsOk());
  // The host's shutdown would wait in vain for a call that never finishes.
}

}  // namespace
}  // namespace orchard::router
