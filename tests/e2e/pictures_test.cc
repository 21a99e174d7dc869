#include "tests/testing/pictures.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "orchard/v1/expert.grpc.pb.h"
#include "tests/e2e/finished.h"
#include "tests/e2e/fleet_processes.h"
#include "tests/testing/child_process.h"
#include "tests/testing/http_get.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/tiny_model_folder.h"
#include "tests/testing/tiny_vit.h"

/// Two models behind one router, one of them an expert on pictures, as processes.

namespace orchard {
namespace {

using testing::BinaryPath;
using testing::ChildProcess;
using testing::Finished;
using ::testing::HasSubstr;
using testing::HttpGet;
using testing::IsOk;
using testing::PortIn;
using testing::RunToTheEnd;

class PicturesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_THAT(testing::WriteTinyVit(vit_.path() / "1"), IsOk());
    photo_ = testing::EncodeJpeg(testing::DrawLeaf(640, 520, 3));
  }

  void SpawnRouter(const std::vector<std::string>& more) {
    std::vector<std::string> flags = {"--model", "signs=" + vit_.path().string()};
    flags.insert(flags.end(), more.begin(), more.end());
    router_ = std::make_unique<ChildProcess>(
        testing::ServiceCommand("orchard-router", testing::SharedTinyModel().path(), flags));
    ready_ = router_->ReadOutUntil("orchard-router ready");
    ASSERT_NE(PortIn(ready_, "grpc"), 0) << ready_;
    stub_ = testing::StubOf(ready_);
  }

  /// Asks the model "signs" and compares with the network, called directly.
  void ExpectTheNetworksAnswer() {
    v1::ClassifyRequest request;
    request.set_image(photo_);
    request.set_model("signs");
    request.mutable_options()->set_top(5);
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
    v1::ClassifyResponse response;
    const grpc::Status status = stub_->Classify(&context, request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(response.model_version(), "signs/1");
    EXPECT_FALSE(response.degraded());
    auto want =
        testing::DirectProbabilities(vit_.path() / "1", "sign", photo_, testing::kTinyVitSide);
    ASSERT_THAT(want, IsOk());
    std::ranges::sort(*want, std::greater());
    ASSERT_EQ(static_cast<size_t>(response.predictions_size()), want->size());
    for (int i = 0; i < response.predictions_size(); ++i) {
      EXPECT_NEAR(response.predictions(i).probability(), (*want)[static_cast<size_t>(i)], 1e-5);
    }
  }

  Finished Command(std::vector<std::string> words) const {
    words.insert(words.begin(), BinaryPath("orchard"));
    words.insert(words.end(), {"--server", "127.0.0.1:" + std::to_string(PortIn(ready_, "grpc"))});
    return RunToTheEnd(words);
  }

  const testing::TempDir vit_;
  std::string photo_, ready_;
  std::unique_ptr<ChildProcess> router_;
  std::unique_ptr<v1::Classifier::Stub> stub_;
};

TEST_F(PicturesTest, AnswersAreTheNetworksWhereTheExpertRunsInTheRouter) {
  SpawnRouter({});
  ExpectTheNetworksAnswer();
}

TEST_F(PicturesTest, AnswersAreTheNetworksWhereTheExpertRunsElsewhere) {
  int port = 0;
  auto expert = std::make_unique<ChildProcess>(testing::ServiceCommand(
      "orchard-expert", vit_.path(), {}, "127.0.0.1:" + std::to_string(port)));
  const std::string ready = expert->ReadOutUntil("ready");
  port = PortIn(ready, "grpc");
  const std::string address = "127.0.0.1:" + std::to_string(port);
  SpawnRouter({"--expert", "signs/sign=" + address});
  ExpectTheNetworksAnswer();

  // What its layers did: 17 tokens of one picture, two picks each.
  const auto stub =
      v1::Expert::NewStub(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
  v1::ExpertDescription description;
  grpc::ClientContext context;
  ASSERT_TRUE(stub->Describe(&context, {}, &description).ok());
  ASSERT_EQ(description.domains(0).layers_size(), testing::kTinyVitLayers);
  for (const v1::LayerLoad& layer : description.domains(0).layers()) {
    EXPECT_EQ(layer.pictures(), 1.0);
    EXPECT_EQ(layer.tokens(), 17.0);
    ASSERT_EQ(layer.share_size(), testing::kTinyVitExperts);
    double sum = 0.0;
    for (const double share : layer.share()) sum += share;
    EXPECT_NEAR(sum, 1.0, 1e-9);
    EXPECT_EQ(layer.verdict(), "UNKNOWN");
    EXPECT_THAT(layer.reason(), HasSubstr("17 tokens of 1 pictures"));
  }
  const std::string metrics = HttpGet(PortIn(ready, "metrics"), "/metrics");
  EXPECT_THAT(metrics,
              HasSubstr("orchard_expert_layer_load{domain=\"sign\",expert=\"3\",layer=\"1\","
                        "model=\"vit\"}"));
}

TEST_F(PicturesTest, TheCommandListsModelsAndAsksTheOneThatIsNamed) {
  SpawnRouter({});
  const Finished list = Command({"model", "list"});
  EXPECT_EQ(list.code, 0) << list.err;
  EXPECT_THAT(list.out, HasSubstr("tiny   1        fruit, vegetable"));
  EXPECT_THAT(list.out, HasSubstr("signs  1        sign"));
  const std::string file = (vit_.path() / "photo.jpg").string();
  std::ofstream(file) << photo_;
  const Finished asked = Command({"classify", "--json", "--model", "signs", file});
  EXPECT_EQ(asked.code, 0) << asked.err;
  EXPECT_THAT(asked.out, HasSubstr("\"model_version\":\"signs/1\""));
  const Finished unknown = Command({"classify", "--model", "roads", file});
  EXPECT_EQ(unknown.code, 1);
  EXPECT_THAT(unknown.err, HasSubstr("no model is called \"roads\"; served here: tiny, signs"));
  const Finished described = Command({"model", "describe", "--model", "signs"});
  EXPECT_THAT(described.out, HasSubstr("model signs/1"));
}

TEST(ShippedModelsTest, AreServedSideBySide) {
  const char* root = std::getenv("ORCHARD_SOURCE_DIR");
  ASSERT_NE(root, nullptr) << "run by ctest, or set ORCHARD_SOURCE_DIR";
  const std::string models = std::string(root) + "/models/";
  ChildProcess router(
      testing::ServiceCommand("orchard-router", models + "default", {"--model", models + "signs"}));
  const std::string ready = router.ReadOutUntil("orchard-router ready");
  ASSERT_NE(PortIn(ready, "grpc"), 0) << ready;
  const auto stub = testing::StubOf(ready);
  const std::string photo = testing::EncodeJpeg(testing::DrawLeaf(320, 260, 3));
  for (const auto& [name, domains] : {std::pair{"default", 9}, {"signs", 2}}) {
    v1::ClassifyRequest request;
    request.set_image(photo);
    request.set_model(name);
    request.mutable_options()->set_policy(v1::DENSE);
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
    v1::ClassifyResponse response;
    const grpc::Status status = stub->Classify(&context, request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(response.model_version(), std::string(name) + "/1");
    EXPECT_FALSE(response.degraded());
    EXPECT_EQ(response.routing().domains_size(), domains);
  }
}

TEST_F(PicturesTest, TwoModelsOfOneNameAreRefusedBeforeAnythingIsServed) {
  const std::string tiny = testing::SharedTinyModel().path().string();
  const Finished run =
      RunToTheEnd(testing::ServiceCommand("orchard-router", tiny, {"--model", tiny}));
  EXPECT_EQ(run.code, 1);
  EXPECT_THAT(run.err, HasSubstr("two models are called"));
}

}  // namespace
}  // namespace orchard
