#include <map>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/integration/router/running_router.h"
#include "tests/testing/pictures.h"
#include "tests/testing/status_matchers.h"

/// Two models on disk behind one router.

namespace orchard::router {
namespace {

using orchard::testing::IsOk;
using orchard::testing::StatusIs;
using orchard::testing::TinyModelFolder;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::RunningExperts;
using testing::RunningRouter;
using testing::TinyModel;

std::string Leaf() { return orchard::testing::EncodeJpeg(orchard::testing::DrawLeaf(320, 260, 1)); }

const TinyModelFolder& OtherModel() {
  static const TinyModelFolder folder({.domains = 2, .seed = 2, .version = "3"});
  return folder;
}

Engine::Config TwoModels() {
  Engine::Config config;
  config.models = {{.version_dir = TinyModel().version()},
                   {.name = "other", .version_dir = OtherModel().version()}};
  return config;
}

absl::StatusOr<v1::ClassifyResponse> Ask(RunningRouter& router, const std::string& model,
                                         const v1::ClassifyOptions& options = {}) {
  grpc::ClientContext context;
  v1::ClassifyRequest request;
  request.set_image(Leaf());
  request.set_model(model);
  *request.mutable_options() = options;
  v1::ClassifyResponse response;
  const grpc::Status status = router.stub().Classify(&context, request, &response);
  if (!status.ok()) return rpc::FromGrpc(status);
  return response;
}

TEST(SeveralModelsTest, ARequestIsAnsweredByTheModelThatItNames) {
  RunningRouter router(TwoModels());
  EXPECT_EQ(Ask(router, "")->model_version(), "tiny/1");
  EXPECT_EQ(Ask(router, "tiny")->model_version(), "tiny/1");
  const auto other = Ask(router, "other");
  ASSERT_THAT(other, IsOk());
  EXPECT_EQ(other->model_version(), "other/3");
  EXPECT_EQ(other->routing().domains_size(), 2);
  EXPECT_THAT(Ask(router, "third"),
              StatusIs(absl::StatusCode::kNotFound,
                       HasSubstr("no model is called \"third\"; served here: tiny, other")));
}

TEST(SeveralModelsTest, OptionsAreOfTheModelThatIsNamed) {
  RunningRouter router(TwoModels());
  v1::ClassifyOptions options;
  options.set_domain(TinyModel().domains().at(3));  // The other model has two domains.
  EXPECT_THAT(Ask(router, "tiny", options), IsOk());
  EXPECT_THAT(Ask(router, "other", options),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(options.domain())));
}

TEST(SeveralModelsTest, APictureOfAStreamNamesItsOwn) {
  RunningRouter router(TwoModels());
  grpc::ClientContext context;
  const auto stream = router.stub().ClassifyStream(&context);
  for (const char* model : {"other", "third", ""}) {
    v1::ClassifyStreamRequest request;
    request.set_id(model);
    request.mutable_request()->set_image(Leaf());
    request.mutable_request()->set_model(model);
    ASSERT_TRUE(stream->Write(request));
  }
  stream->WritesDone();
  std::map<std::string, v1::ClassifyStreamResponse> answers;
  for (v1::ClassifyStreamResponse answer; stream->Read(&answer);) answers[answer.id()] = answer;
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(answers["other"].response().model_version(), "other/3");
  EXPECT_EQ(answers["third"].error().code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(answers[""].response().model_version(), "tiny/1");
}

TEST(SeveralModelsTest, AreDescribedByName) {
  RunningRouter router(TwoModels());
  const auto describe = [&](const std::string& model) -> absl::StatusOr<v1::ModelDescription> {
    grpc::ClientContext context;
    v1::DescribeModelRequest request;
    request.set_model(model);
    v1::ModelDescription response;
    const grpc::Status status = router.stub().DescribeModel(&context, request, &response);
    if (!status.ok()) return rpc::FromGrpc(status);
    return response;
  };
  const auto first = describe("");
  ASSERT_THAT(first, IsOk());
  EXPECT_EQ(first->name(), "tiny");
  ASSERT_EQ(first->models_size(), 2);
  EXPECT_EQ(first->models(0).name(), "tiny");
  EXPECT_EQ(first->models(1).name(), "other");
  EXPECT_EQ(first->models(1).version(), "3");
  EXPECT_EQ(first->models(1).domains_size(), 2);
  const auto other = describe("other");
  ASSERT_THAT(other, IsOk());
  EXPECT_EQ(other->name(), "other");
  EXPECT_EQ(other->encoder_fingerprint(), OtherModel().manifest().encoder().fingerprint());
  EXPECT_NE(other->encoder_fingerprint(), first->encoder_fingerprint());
  EXPECT_THAT(describe("third"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("tiny, other")));
}

TEST(SeveralModelsTest, OneMayHaveItsExpertsElsewhere) {
  const std::vector<std::string> domains = TinyModel().domains();
  const RunningExperts experts(domains);
  Engine::Config config = TwoModels();
  for (const std::string& domain : domains) {
    config.experts.push_back("tiny/" + domain + "=" + experts.address());
  }
  RunningRouter router(config);
  EXPECT_TRUE(router.engine().models().first()->fleet().remote());
  EXPECT_FALSE(router.engine().models().all()[1]->fleet().remote());
  for (const char* model : {"tiny", "other"}) {
    const auto answer = Ask(router, model);
    ASSERT_THAT(answer, IsOk());
    EXPECT_FALSE(answer->degraded()) << model;
  }
  // Others are asked from now on where the settings say, and the embedded ones stay.
  EXPECT_THAT(router.engine().ReloadExperts(config.experts), IsOk());
  EXPECT_THAT(router.engine().ReloadExperts(std::vector<std::string>{}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("no --expert is set")));
}

// A model may be called otherwise than its experts' manifest calls it.
TEST(SeveralModelsTest, ExpertsElsewhereKnowAModelByTheNameOnDisk) {
  const std::vector<std::string> domains = TinyModel().domains();
  const RunningExperts experts(domains);
  Engine::Config config;
  config.models = {{.name = "renamed", .version_dir = TinyModel().version()}};
  for (const std::string& domain : domains)
    config.experts.push_back(domain + "=" + experts.address());
  RunningRouter router(config);
  const auto answer = Ask(router, "renamed");
  ASSERT_THAT(answer, IsOk());
  EXPECT_FALSE(answer->degraded());
  EXPECT_EQ(answer->model_version(), "renamed/1");
}

TEST(SeveralModelsTest, TwoOfOneNameAreRefused) {
  Engine::Config config;
  config.models = {{.version_dir = TinyModel().version()}, {.version_dir = OtherModel().version()}};
  prometheus::Registry registry;
  EXPECT_THAT(
      Engine::Load(config, registry),
      StatusIs(absl::StatusCode::kInvalidArgument,
               AllOf(HasSubstr("two models are called \"tiny\""),
                     HasSubstr(OtherModel().version().string()), HasSubstr("--model NAME=DIR"))));
}

}  // namespace
}  // namespace orchard::router
