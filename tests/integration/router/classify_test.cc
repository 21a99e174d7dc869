#include <cmath>
#include <future>
#include <stop_token>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/integration/router/running_router.h"
#include "tests/testing/pictures.h"
#include "tests/testing/status_matchers.h"

namespace orchard::router {
namespace {

using orchard::testing::IsOk;
using orchard::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::RunningExperts;
using testing::RunningRouter;
using testing::SilentExperts;
using testing::WithExpertsAt;
using namespace std::chrono_literals;

std::string Leaf(unsigned seed = 1) {
  return orchard::testing::EncodeJpeg(orchard::testing::DrawLeaf(320, 260, seed));
}

v1::ClassifyOptions Dense() {
  v1::ClassifyOptions options;
  options.set_policy(v1::DENSE);
  options.set_top(8);
  return options;
}

/// All that an answer says of the picture, as numbers.
std::vector<double> Numbers(const v1::ClassifyResponse& answer) {
  std::vector<double> numbers = {answer.coverage(), answer.unknown_score(),
                                 answer.routing().branch_probability()};
  for (const auto& entry : answer.predictions()) numbers.push_back(entry.probability());
  for (const auto& entry : answer.concepts()) numbers.push_back(entry.probability());
  for (const auto& entry : answer.routing().domains()) numbers.push_back(entry.probability());
  return numbers;
}

std::vector<std::string> Words(const v1::ClassifyResponse& answer) {
  std::vector<std::string> words = {answer.routing().branch(), v1::Outcome_Name(answer.outcome())};
  for (const auto& entry : answer.predictions()) words.push_back(entry.domain() + entry.label());
  for (const auto& entry : answer.concepts()) words.push_back(entry.label());
  return words;
}

void ExpectSame(const v1::ClassifyResponse& got, const v1::ClassifyResponse& want,
                double tolerance) {
  EXPECT_EQ(Words(got), Words(want));
  EXPECT_THAT(Numbers(got), ::testing::Pointwise(::testing::DoubleNear(tolerance), Numbers(want)));
}

TEST(ClassifyTest, ClassifiesAPicture) {
  RunningRouter router;
  const auto answer = router.Classify(Leaf());
  ASSERT_THAT(answer, IsOk());
  EXPECT_EQ(answer->model_version(), "tiny/1");
  EXPECT_EQ(answer->routing().policy(), v1::EXACT);
  EXPECT_GE(answer->predictions_size(), 1);  // EXACT may ask a single expert of fewer classes.
  EXPECT_LE(answer->predictions_size(), 5);
  EXPECT_GT(answer->concepts_size(), 0);
  EXPECT_TRUE(answer->exact());
  EXPECT_FALSE(answer->degraded());
  EXPECT_GT(answer->timings().encode_ms(), 0.0);
}

TEST(ClassifyTest, DenseProbabilitiesSumToOne) {
  RunningRouter router;
  const auto taxonomy = router.engine().models().first()->catalogue();
  v1::ClassifyOptions options = Dense();
  options.set_top(static_cast<std::uint32_t>(taxonomy.TotalClasses()));
  const auto answer = router.Classify(Leaf(), options);
  ASSERT_THAT(answer, IsOk());
  double sum = 0.0;
  for (const auto& prediction : answer->predictions()) sum += prediction.probability();
  EXPECT_NEAR(sum, 1.0, 1e-5);  // Scores travel as floats.
  EXPECT_NEAR(answer->coverage(), 1.0, 1e-9);
}

TEST(ClassifyTest, GateProbabilitiesCanBeLeftOut) {
  RunningRouter router;
  v1::ClassifyOptions options;
  options.set_gate_probabilities(false);
  EXPECT_EQ(router.Classify(Leaf(), options)->routing().domains_size(), 0);
  EXPECT_GT(router.Classify(Leaf())->routing().domains_size(), 0);
}

TEST(ClassifyTest, AnAnswerDoesNotDependOnWhoSharedTheBatch) {
  Engine::Config config;
  config.pipeline.decode_workers = 2;
  RunningRouter router(config);
  std::vector<v1::ClassifyResponse> alone;
  for (unsigned seed = 0; seed < 8; ++seed) alone.push_back(*router.Classify(Leaf(seed), Dense()));
  std::vector<std::future<absl::StatusOr<v1::ClassifyResponse>>> together;
  for (unsigned seed = 0; seed < 8; ++seed) {
    together.push_back(std::async(
        std::launch::async, [&router, seed] { return router.Classify(Leaf(seed), Dense()); }));
  }
  for (unsigned seed = 0; seed < 8; ++seed) {
    const auto answer = together[seed].get();
    ASSERT_THAT(answer, IsOk());
    ExpectSame(*answer, alone[seed], 0.0);
  }
}

TEST(ClassifyTest, RemoteExpertsAnswerAsTheEmbeddedOnesDo) {
  RunningRouter embedded;
  const std::vector<std::string> domains = embedded.engine().models().first()->catalogue().domains;
  ASSERT_GE(domains.size(), 4U);
  const RunningExperts first({domains[0], domains[1]});
  const RunningExperts second(std::vector<std::string>(domains.begin() + 2, domains.end()));
  Engine::Config config;
  for (size_t i = 0; i < domains.size(); ++i) {
    config.experts.push_back(domains[i] + "=" + (i < 2 ? first : second).address());
  }
  RunningRouter remote(config);
  for (unsigned seed = 0; seed < 3; ++seed) {
    for (const v1::ClassifyOptions& options : {v1::ClassifyOptions(), Dense()}) {
      const auto here = embedded.Classify(Leaf(seed), options);
      const auto there = remote.Classify(Leaf(seed), options);
      ASSERT_THAT(here, IsOk());
      ASSERT_THAT(there, IsOk());
      EXPECT_FALSE(there->degraded());
      ExpectSame(*there, *here, 1e-5);
    }
  }
}

TEST(ClassifyTest, ADomainWithoutAnExpertIsMissing) {
  const std::vector<std::string> domains = testing::TinyModel().domains();
  const RunningExperts experts({domains[0]});
  Engine::Config config;
  config.experts = {domains[0] + "=" + experts.address()};
  RunningRouter router(config);
  const auto answer = router.Classify(Leaf(), Dense());
  ASSERT_THAT(answer, IsOk());
  EXPECT_TRUE(answer->degraded());
  EXPECT_EQ(answer->missing_size(), static_cast<int>(domains.size()) - 1);
  v1::ClassifyOptions pinned;
  pinned.set_domain(domains[1]);
  EXPECT_THAT(router.Classify(Leaf(), pinned),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr(domains[1] + " is down")));
}

TEST(ClassifyTest, RequestIdsComeBack) {
  RunningRouter router;
  grpc::ClientContext context;
  context.AddMetadata("x-request-id", "my-picture-7");
  ASSERT_THAT(router.Classify(context, Leaf()), IsOk());
  const auto& trailers = context.GetServerTrailingMetadata();
  ASSERT_EQ(trailers.count("x-request-id"), 1U);
  EXPECT_EQ(trailers.find("x-request-id")->second, "my-picture-7");
}

TEST(ClassifyTest, AFullRouterAsksForPatience) {
  const SilentExperts experts({});
  Engine::Config config = WithExpertsAt(experts.address());
  config.pipeline.in_flight = 1;
  RunningRouter router(config);
  // The one place is taken by a picture that waits for its expert.
  const std::string leaf = Leaf();
  std::stop_source caller;
  std::promise<absl::Status> first;
  router.engine().pipeline().Start(
      {.model = router.engine().models().first(), .image = leaf, .cancelled = caller.get_token()},
      [&](const absl::StatusOr<Classification>& answer) { first.set_value(answer.status()); });
  experts.WaitForCalls(1);
  grpc::ClientContext context;
  // gRPC's own retries would honour the pushback: what we want to see is the refusal.
  EXPECT_THAT(router.Classify(context, leaf),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("limit of 1")));
  EXPECT_EQ(context.GetServerTrailingMetadata().count("grpc-retry-pushback-ms"), 1U);
  caller.request_stop();
  EXPECT_THAT(first.get_future().get(), StatusIs(absl::StatusCode::kCancelled, HasSubstr("gone")));
}

TEST(ClassifyTest, ACallWithoutADeadlineHasTheServers) {
  const SilentExperts experts({});
  Engine::Config config = WithExpertsAt(experts.address());
  config.pipeline.default_deadline = 300ms;
  RunningRouter router(config);
  EXPECT_THAT(router.Classify(Leaf()),  // And so it ends at all.
              StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("is late")));
}

TEST(ClassifyTest, AnExpiredDeadlineIsNotSpentOn) {
  RunningRouter router;
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + 1us);
  EXPECT_EQ(router.Classify(context, Leaf()).status().code(), absl::StatusCode::kDeadlineExceeded);
}

TEST(DescribeModelTest, TellsTaxonomyDefaultsAndLimits) {
  Engine::Config config;
  config.pipeline.limits.max_bytes = 1 << 20;
  config.pipeline.limits.max_decode_bytes = 64 << 20;
  config.pipeline.default_policy = moe::PolicyKind::kTopK;
  RunningRouter router(config, /*max_stream_in_flight=*/3);
  grpc::ClientContext context;
  v1::ModelDescription described;
  ASSERT_TRUE(router.stub().DescribeModel(&context, {}, &described).ok());
  EXPECT_EQ(described.name(), "tiny");
  EXPECT_EQ(described.encoder_fingerprint(),
            router.engine().models().first()->manifest().encoder().fingerprint());
  ASSERT_EQ(described.domains_size(), router.engine().models().first()->manifest().experts_size());
  EXPECT_GT(described.domains(0).classes_size(), 0);
  EXPECT_TRUE(described.domains(0).available());
  EXPECT_EQ(described.defaults().policy(), v1::TOP_K);
  EXPECT_EQ(described.defaults().deadline_seconds(), 10.0);
  EXPECT_EQ(described.limits().max_image_bytes(), 1U << 20);
  EXPECT_EQ(described.limits().max_decode_bytes(), 64U << 20);
  EXPECT_EQ(described.limits().max_stream_in_flight(), 3U);
  EXPECT_THAT(described.limits().formats(), ::testing::ElementsAre("jpeg", "png", "webp"));
}

}  // namespace
}  // namespace orchard::router
