#include "router/external_scaler.h"

#include <chrono>
#include <cmath>
#include <memory>
#include <optional>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "rpc/status.h"
#include "tests/integration/router/running_router.h"
#include "tests/integration/router/scaling_router.h"
#include "tests/testing/classify_options.h"
#include "tests/testing/eventually.h"
#include "tests/testing/pictures.h"
#include "tests/testing/status_matchers.h"

/// KEDA's external scaler over real gRPC: its four calls, and what wrong ones are told.

namespace orchard::router {
namespace {

using orchard::testing::Eventually;
using orchard::testing::IsOk;
using orchard::testing::IsOkAndHolds;
using orchard::testing::StatusIs;
using testing::About;
using testing::ActiveStream;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Optional;
using testing::ScalerClient;
using testing::ScalingRouter;
using namespace std::chrono_literals;

constexpr size_t kApple = 0;

TEST(ExternalScalerTest, TellsTheMetricOfWhichOneReplicaIsForOne) {
  ScalingRouter router;
  const auto spec = router.Client().GetMetricSpec(About("apple"));
  ASSERT_THAT(spec, IsOk());
  ASSERT_EQ(spec->metricspecs_size(), 1);
  EXPECT_EQ(spec->metricspecs(0).metricname(), "desired-replicas");
  EXPECT_EQ(spec->metricspecs(0).targetsize(), 1);
  EXPECT_EQ(spec->metricspecs(0).targetsizefloat(), 1.0);
}

TEST(ExternalScalerTest, TellsWhatIsDesiredWholeAndInParts) {
  ScalingRouter router;
  ScalerClient client = router.Client();
  EXPECT_THAT(client.IsActive(About("apple")), IsOkAndHolds(false));
  EXPECT_EQ(client.Desired("apple"), 0.0);
  // 1200 in five seconds, 7 ms each, 0.7 busy: 2.4.
  router.Want(kApple, 1200);
  EXPECT_THAT(client.IsActive(About("apple")), IsOkAndHolds(true));
  EXPECT_THAT(client.IsActive(About("rice")), IsOkAndHolds(false));
  const auto value = client.GetMetric(About("apple"));
  ASSERT_THAT(value, IsOk());
  EXPECT_EQ(value->metricname(), "desired-replicas");
  EXPECT_NEAR(value->metricvaluefloat(), 2.4, 1e-9);
  EXPECT_EQ(value->metricvalue(), 3);
  EXPECT_EQ(client.Desired("rice"), 0.0);
}

TEST(ExternalScalerTest, AModelMayBeNamed) {
  ScalingRouter router;
  EXPECT_THAT(router.Client().IsActive(About({{"domain", "rice"}, {"model", "tiny"}})),
              IsOkAndHolds(false));
}

/// Both have a domain of one name, at different places.
ScalingRouter::Options TwoModels() { return {.more_models = {{"signs", {"stop", "apple"}}}}; }

externalscaler::ScaledObjectRef OfSigns(const std::string& domain) {
  return About({{"domain", domain}, {"model", "signs"}});
}

TEST(ExternalScalerTest, ModelsAreScaledApart) {
  ScalingRouter router(TwoModels());
  ScalerClient client = router.Client();
  ActiveStream of_first(client, About("apple"));
  ActiveStream of_second(client, OfSigns("apple"));
  EXPECT_THAT(of_first.Next(), Optional(false));
  EXPECT_THAT(of_second.Next(), Optional(false));
  router.Want(/*domain=*/1, 1200, /*model=*/1);
  EXPECT_THAT(of_second.Next(), Optional(true));
  EXPECT_THAT(client.IsActive(OfSigns("apple")), IsOkAndHolds(true));
  EXPECT_THAT(client.IsActive(OfSigns("stop")), IsOkAndHolds(false));
  EXPECT_THAT(client.IsActive(About("apple")), IsOkAndHolds(false)) << "the first is meant";
  EXPECT_THAT(client.IsActive(About("rice")), IsOkAndHolds(false)) << "it has the same place";
  EXPECT_NEAR(client.GetMetric(OfSigns("apple"))->metricvaluefloat(), 2.4, 1e-9);
  EXPECT_EQ(client.Desired("apple"), 0.0);
  router.Want(kApple);
  EXPECT_THAT(of_first.Next(), Optional(true));
  EXPECT_THAT(client.IsActive(OfSigns("rice")),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("it has stop, apple")));
  EXPECT_THAT(client.IsActive(About({{"domain", "apple"}, {"model", "huge"}})),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("served here: tiny, signs")));
}

TEST(ExternalScalerTest, AStreamTellsTheStateAndItsChanges) {
  ScalingRouter router({.meter = {.window = 1s}});
  ScalerClient client = router.Client();
  ActiveStream apple(client, About("apple"));
  ActiveStream rice(client, About("rice"));
  EXPECT_THAT(apple.Next(), Optional(false));
  EXPECT_THAT(rice.Next(), Optional(false));
  router.Want(kApple);
  EXPECT_THAT(apple.Next(), Optional(true));
  EXPECT_THAT(apple.Next(), Optional(false)) << "after a window without another one";
  router.Want(kApple);
  EXPECT_THAT(apple.Next(), Optional(true));
  router.Want(/*domain=*/1);
  EXPECT_THAT(rice.Next(), Optional(true)) << "and nothing of apple's";
}

TEST(ExternalScalerTest, AStreamThatIsOldEndsWell) {
  ScalingRouter router({.scaler = {.stream_age = 100ms}});
  ScalerClient client = router.Client();
  ActiveStream stream(client, About("apple"));
  EXPECT_THAT(stream.Next(), Optional(false));
  EXPECT_EQ(stream.Next(), std::nullopt);
  EXPECT_THAT(stream.End(), IsOk());
}

TEST(ExternalScalerTest, StreamsEndWellWhenTheServerGoes) {
  ScalingRouter router;
  ScalerClient client = router.Client();
  ActiveStream stream(client, About("apple"));
  EXPECT_THAT(stream.Next(), Optional(false));
  router.Shutdown();
  EXPECT_EQ(stream.Next(), std::nullopt);
  EXPECT_THAT(stream.End(), IsOk());
}

TEST(ExternalScalerTest, StreamsAreBounded) {
  ScalingRouter router({.scaler = {.max_streams = 1}});
  ScalerClient client = router.Client();
  auto first = std::make_unique<ActiveStream>(client, About("apple"));
  EXPECT_THAT(first->Next(), Optional(false));
  ActiveStream second(client, About("apple"));
  EXPECT_EQ(second.Next(), std::nullopt);
  EXPECT_THAT(second.End(), StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("1")));
  first.reset();
  EXPECT_TRUE(Eventually([&] { return ActiveStream(client, About("apple")).Next().has_value(); }))
      << "whoever goes makes room";
}

struct WrongCase {
  std::string name;
  std::map<std::string, std::string> metadata;
  bool scalable = true;
  absl::StatusCode code;
  std::string says, names;
};

void PrintTo(const WrongCase& wrong, std::ostream* out) { *out << wrong.name; }

class WrongScaledObjectTest : public ::testing::TestWithParam<WrongCase> {};

TEST_P(WrongScaledObjectTest, IsToldWhatThereIs) {
  const WrongCase& param = GetParam();
  ScalingRouter router({.scalable = param.scalable});
  ScalerClient client = router.Client();
  const auto ref = About(param.metadata);
  const auto wrong = StatusIs(param.code, AllOf(HasSubstr(param.says), HasSubstr(param.names)));
  const auto active = client.IsActive(ref);
  EXPECT_THAT(active, wrong);
  EXPECT_TRUE(rpc::ErrorInfoOf(active.status()).has_value());
  EXPECT_THAT(client.GetMetricSpec(ref), wrong);
  EXPECT_THAT(client.GetMetric(ref), wrong);
  ActiveStream stream(client, ref);
  EXPECT_EQ(stream.Next(), std::nullopt);
  EXPECT_THAT(stream.End(), wrong);
}

INSTANTIATE_TEST_SUITE_P(Table, WrongScaledObjectTest,
                         ::testing::Values(WrongCase{.name = "NoDomain",
                                                     .metadata = {},
                                                     .code = absl::StatusCode::kInvalidArgument,
                                                     .says = "`domain` is missing",
                                                     .names = "apple, rice"},
                                           WrongCase{.name = "UnknownDomain",
                                                     .metadata = {{"domain", "cheese"}},
                                                     .code = absl::StatusCode::kNotFound,
                                                     .says = "no domain \"cheese\"",
                                                     .names = "apple, rice"},
                                           WrongCase{
                                               .name = "OtherModel",
                                               .metadata = {{"domain", "apple"}, {"model", "huge"}},
                                               .code = absl::StatusCode::kNotFound,
                                               .says = "\"huge\"",
                                               .names = "served here: tiny"},
                                           WrongCase{.name = "ExpertsInThisProcess",
                                                     .metadata = {{"domain", "apple"}},
                                                     .scalable = false,
                                                     .code = absl::StatusCode::kFailedPrecondition,
                                                     .says = "--expert",
                                                     .names = "nothing to scale"}),
                         [](const auto& param_info) { return param_info.param.name; });

TEST(ExternalScalerTest, AnotherMetricIsNotHere) {
  ScalingRouter router;
  EXPECT_THAT(router.Client().GetMetric(About("apple"), "queue-length"),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr("queue-length"), HasSubstr("desired-replicas"))));
}

/// Bytes as KEDA's own code puts them on the wire: its numbers and types, and not ours.
TEST(ExternalScalerTest, SpeaksKedasWire) {
  externalscaler::ScaledObjectRef ref;
  ASSERT_TRUE(
      ref.ParseFromString("\x0a\x05"
                          "maize"
                          "\x12\x04"
                          "farm"
                          "\x1a\x0f\x0a\x06"
                          "domain"
                          "\x12\x05"
                          "maize"));
  EXPECT_EQ(ref.name(), "maize");
  EXPECT_EQ(ref.namespace_(), "farm");
  EXPECT_EQ(ref.scalermetadata().at("domain"), "maize");
  externalscaler::GetMetricsRequest request;
  ASSERT_TRUE(request.ParseFromString("\x0a\x03\x0a\x01x\x12\x01m"));
  EXPECT_EQ(request.scaledobjectref().name(), "x");
  EXPECT_EQ(request.metricname(), "m");

  externalscaler::IsActiveResponse active;
  active.set_result(true);
  EXPECT_EQ(active.SerializeAsString(), "\x08\x01");
  externalscaler::GetMetricsResponse metrics;
  externalscaler::MetricValue& value = *metrics.add_metricvalues();
  value.set_metricname("m");
  value.set_metricvalue(3);
  value.set_metricvaluefloat(2.0);
  const std::string two("\0\0\0\0\0\0\0\x40", 8);
  EXPECT_EQ(metrics.SerializeAsString(), "\x0a\x0e\x0a\x01m\x10\x03\x19" + two);
  externalscaler::GetMetricSpecResponse specs;
  externalscaler::MetricSpec& spec = *specs.add_metricspecs();
  spec.set_metricname("m");
  spec.set_targetsize(1);
  spec.set_targetsizefloat(2.0);
  EXPECT_EQ(specs.SerializeAsString(), "\x0a\x0e\x0a\x01m\x10\x01\x19" + two);
  for (const char* method : {"IsActive", "StreamIsActive", "GetMetricSpec", "GetMetrics"}) {
    EXPECT_NE(externalscaler::ScaledObjectRef::descriptor()
                  ->file()
                  ->FindServiceByName("ExternalScaler")
                  ->FindMethodByName(method),
              nullptr);
  }
}

TEST(ExternalScalerTest, APictureOfARealRouterMakesItsDomainsActive) {
  testing::RunningExperts experts(testing::TinyModel().domains());
  testing::RunningRouter router(testing::WithExpertsAt(experts.address()));
  ExternalScaler scaler(*router.engine().models().first()->demand(), nullptr);
  const auto host = *server::GrpcHost::Start(
      {"127.0.0.1", 0}, {{externalscaler::ExternalScaler::service_full_name(), &scaler,
                          [&] { scaler.EndStreams(); }}});
  ScalerClient client(host->address().ToString());
  const std::string domain = testing::TinyModel().domains().front();
  {
    ActiveStream stream(client, About(domain));
    EXPECT_THAT(stream.Next(), Optional(false));
    const std::string picture = orchard::testing::EncodeJpeg(orchard::testing::DrawLeaf(64, 64, 3));
    ASSERT_THAT(router.Classify(picture, orchard::testing::With(v1::DENSE)), IsOk());
    EXPECT_THAT(stream.Next(), Optional(true));
    // An expert says what a row takes with the answers that follow its first.
    EXPECT_TRUE(Eventually([&] {
      EXPECT_THAT(router.Classify(picture, orchard::testing::With(v1::DENSE)), IsOk());
      return router.engine().models().first()->demand()->Own()[0].service_seconds.has_value();
    }));
  }
  const Demand own = router.engine().models().first()->demand()->Own()[0];
  EXPECT_GT(own.desired_replicas, 0.0);
  EXPECT_LT(*own.service_seconds, 10.0);
  EXPECT_GT(client.Desired(domain), 0.0);
  host->Shutdown(std::chrono::steady_clock::now() + 1min);
}

}  // namespace
}  // namespace orchard::router
