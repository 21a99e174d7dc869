// The program orchard-expert, from outside.

#include <cmath>
#include <csignal>
#include <filesystem>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>

#include "experts/expert_spec.h"
#include "experts/head_scorer.h"
#include "experts/in_process_expert.h"
#include "experts/remote_expert.h"
#include "model/loaded_model.h"
#include "tests/integration/experts/expert_server.h"
#include "tests/testing/child_process.h"
#include "tests/testing/eventually.h"
#include "tests/testing/http_get.h"
#include "tests/testing/service_command.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/tiny_model_folder.h"

namespace orchard::experts {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using testing::Eventually;
using ::testing::HasSubstr;
using testing::IsOk;
using ::testing::StartsWith;
using testing::StatusIs;

class ExpertProcessTest : public ::testing::Test {
 protected:
  std::unique_ptr<testing::ChildProcess> Start(
      const std::vector<std::string>& more = {},
      const std::string& listen = testing::kAnyPort) const {
    std::vector<std::string> flags = {"--drain-delay", "0"};
    flags.insert(flags.end(), more.begin(), more.end());
    return std::make_unique<testing::ChildProcess>(
        testing::ServiceCommand("orchard-expert", model_, flags, listen));
  }

  static std::string Ready(testing::ChildProcess& process) {
    const std::string line = process.ReadOutUntil("ready");
    EXPECT_THAT(line, StartsWith("orchard-expert ready grpc=127.0.0.1:"));
    return line;
  }

  static std::string Grpc(const std::string& ready_line) {
    return "127.0.0.1:" + std::to_string(testing::PortIn(ready_line, "grpc"));
  }

  const std::filesystem::path version_ = testing::SharedTinyModel().version();
  const v1::ModelManifest& manifest_ = testing::SharedTinyModel().manifest();
  std::filesystem::path model_ = testing::SharedTinyModel().path();  // a folder of versions
};

/// Random features as an expert reads them.
std::shared_ptr<const core::View> Features(const ExpertSpec& spec, size_t rows) {
  std::vector<float> values;
  for (size_t i = 0; i < rows * spec.RowWidth(); ++i) {
    values.push_back(std::sin(static_cast<float>(i) * 0.37F));
  }
  return std::make_shared<const core::View>(std::make_shared<const core::ViewSpec>(spec.View()),
                                            std::move(values));
}

TEST_F(ExpertProcessTest, EveryExpertAnswersAsItDoesInProcessWhateverSharesItsBatch) {
  const auto process = Start();
  const std::string address = Grpc(Ready(*process));
  auto heads = model::LoadExperts(version_, {});
  ASSERT_THAT(heads, IsOk());
  const auto specs = SpecsOf(manifest_);
  ASSERT_THAT(specs, IsOk());
  for (size_t i = 0; i < specs->size(); ++i) {
    const auto features = Features((*specs)[i], 6);
    InProcessExpert near((*specs)[i], ScorerOf(std::move((*heads)[i])));
    auto far = RemoteExpert::Create((*specs)[i], {address});
    ASSERT_THAT(far, IsOk());
    // Many at once, so that the process puts some of them into one batch.
    std::vector<std::future<absl::StatusOr<model::ScoreBatch>>> answers;
    for (size_t row = 0; row < features->rows(); ++row) {
      answers.push_back(Ask(**far, {features, {row}}));
    }
    for (size_t row = 0; row < features->rows(); ++row) {
      const auto want = Ask(near, {features, {row}}).get();
      const auto answer = answers[row].get();
      ASSERT_THAT(want, IsOk());
      ASSERT_THAT(answer, IsOk());
      EXPECT_EQ(answer->log_probabilities, want->log_probabilities) << (*specs)[i].domain;
      EXPECT_EQ(answer->energy, want->energy) << (*specs)[i].domain;
    }
  }
}

TEST_F(ExpertProcessTest, ServesTheDomainsThatItIsToldAndNoOther) {
  const std::string wanted = manifest_.experts(1).domain();
  const auto process = Start({"--domain", wanted});
  const std::string address = Grpc(Ready(*process));
  const auto stub =
      v1::Expert::NewStub(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
  v1::ExpertDescription description;
  grpc::ClientContext context;
  ASSERT_TRUE(stub->Describe(&context, {}, &description).ok());
  EXPECT_EQ(description.model_version(), "tiny/1");
  ASSERT_EQ(description.domains_size(), 1);
  EXPECT_EQ(description.domains(0).domain(), wanted);

  const auto specs = SpecsOf(manifest_);
  const auto foreign = RemoteExpert::Create(specs->front(), {address});
  EXPECT_THAT(Ask(**foreign, {Features(specs->front(), 1), {0}}).get(),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr(wanted)));
}

TEST_F(ExpertProcessTest, TellsMetricsAndReadinessAndEndsWithZeroOnSigterm) {
  const auto process = Start();
  const std::uint16_t metrics = testing::PortIn(Ready(*process), "metrics");
  EXPECT_THAT(testing::HttpGet(metrics, "/readyz"), HasSubstr("200"));
  EXPECT_THAT(testing::HttpGet(metrics, "/healthz"), HasSubstr("200"));
  EXPECT_THAT(
      testing::HttpGet(metrics, "/metrics"),
      AllOf(HasSubstr("orchard_expert_server_rows_total{"),
            HasSubstr("orchard_model_info{fingerprint=\"" + manifest_.encoder().fingerprint()),
            HasSubstr("process_resident_memory_bytes")));
  process->Signal(SIGTERM);
  EXPECT_EQ(process->Wait(), 0);
}

TEST_F(ExpertProcessTest, ASuddenDeathIsNoticedAndAReplicaAnswers) {
  const auto specs = SpecsOf(manifest_);
  auto first = Start();
  const auto second = Start();
  const std::string address = Grpc(Ready(*first));
  const auto expert = RemoteExpert::Create(specs->front(), {address, Grpc(Ready(*second))});
  ASSERT_THAT((*expert)->Warm(core::Clock::now() + 20s), IsOk());
  const auto features = Features(specs->front(), 1);
  for (int i = 0; i < 40; ++i) {
    if (i == 10) first->Signal(SIGKILL);
    ASSERT_THAT(Ask(**expert, {features, {0}}).get(), IsOk()) << i;
  }
  ASSERT_TRUE(
      Eventually([&] { return (*expert)->Endpoints().front().state == EndpointState::kDown; }));
}

TEST_F(ExpertProcessTest, ABrokenModelIsNamedAndNothingIsServed) {
  const testing::TempDir broken;
  std::filesystem::copy(version_, broken.path(), std::filesystem::copy_options::recursive);
  model_ = broken.path();
  ASSERT_THAT(testing::BreakTinyModel(model_, testing::TinyPart::kFirstExpert,
                                      testing::TinyFault::kTruncatedFile),
              IsOk());
  const auto process = Start();
  EXPECT_THAT(process->ReadErrUntil("orchard-expert: "),
              HasSubstr(manifest_.experts(0).file().path()));
  EXPECT_EQ(process->Wait(), 1);
  EXPECT_EQ(process->ReadOutUntil("ready"), "");
}

TEST_F(ExpertProcessTest, AnUnknownDomainIsRefusedWithThoseThatThereAre) {
  const auto process = Start({"--domain", "moss"});
  EXPECT_THAT(process->ReadErrUntil("orchard-expert: "),
              AllOf(HasSubstr("moss"), HasSubstr(manifest_.experts(0).domain())));
  EXPECT_EQ(process->Wait(), 1);
}

TEST_F(ExpertProcessTest, APortInUseIsNamed) {
  const auto first = Start();
  const std::string address = Grpc(Ready(*first));
  const auto process = Start({}, address);
  EXPECT_THAT(process->ReadErrUntil("orchard-expert: "), HasSubstr(address));
  EXPECT_EQ(process->Wait(), 1);
}

TEST_F(ExpertProcessTest, BadFlagsAreToldAllAtOnce) {
  const auto process = Start({"--max-batch", "0", "--workers", "many"});
  EXPECT_THAT(process->ReadErrUntil("max-batch"), HasSubstr("1 to 256"));
  EXPECT_THAT(process->ReadErrUntil("workers"), HasSubstr("many"));
  EXPECT_EQ(process->Wait(), 2);
}

}  // namespace
}  // namespace orchard::experts
