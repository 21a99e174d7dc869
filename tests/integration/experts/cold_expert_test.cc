// A name without an address: when a domain counts as being started, and until when.

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "experts/remote_expert.h"
#include "tests/integration/experts/expert_server.h"
#include "tests/testing/eventually.h"
#include "tests/testing/expert_samples.h"
#include "tests/testing/status_matchers.h"

namespace orchard::experts {
namespace {

using namespace std::chrono_literals;
using testing::Eventually;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::IsOk;
using testing::StatusIs;

class ColdExpertTest : public ::testing::Test {
 protected:
  ColdExpertTest() { Say(absl::NotFoundError("no such name")); }

  /// What a look-up of any name gives from now on.
  void Say(absl::StatusOr<HostAddresses> found) {
    const std::lock_guard lock(mutex_);
    found_ = std::move(found);
  }

  std::unique_ptr<RemoteExpert> Named(std::uint16_t port) {
    RemoteExpertOptions options;
    options.resolver = &resolver_;
    options.events.on_look_up_failed = [this](const std::string&, const absl::Status& why) {
      const std::lock_guard lock(mutex_);
      ++(absl::IsNotFound(why) ? told_empty_ : told_failed_);
    };
    return Remote({"dns:///apple.test:" + std::to_string(port)}, std::move(options));
  }

  static bool Becomes(const RemoteExpert& expert, std::optional<MissingReason> reason) {
    return Eventually([&] { return expert.Unavailable() == reason; });
  }
  /// What one of the counts below is now.
  int Now(const int& count) {
    const std::lock_guard lock(mutex_);
    return count;
  }

  std::mutex mutex_;
  absl::StatusOr<HostAddresses> found_;
  int told_empty_ = 0, told_failed_ = 0;
  int look_ups_ = 0;
  Resolver resolver_{{.interval = 5ms, .hurry = 5ms, .look_up = [this](const std::string&) {
                        const std::lock_guard lock(mutex_);
                        ++look_ups_;
                        return found_;
                      }}};
};

TEST_F(ColdExpertTest, IsColdUntilSomebodyIsUpNotMerelyListed) {
  auto silent = std::make_unique<SilentPort>();
  const server::Address address = AddressOf(*silent);
  const auto expert = Named(address.port);
  EXPECT_TRUE(Becomes(*expert, MissingReason::kCold));
  EXPECT_THAT(expert->Warm(core::Clock::now() + 20s),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("it has no address")));
  Say(HostAddresses{address.host});
  EXPECT_TRUE(Eventually([&] {  // Tried, and in vain.
    const auto endpoints = expert->Endpoints();
    return endpoints.size() == 1 && endpoints[0].state == EndpointState::kDown;
  }));
  EXPECT_EQ(expert->Unavailable(), MissingReason::kCold);
  silent.reset();
  const ExpertServer server({.listen = address});
  EXPECT_TRUE(Becomes(*expert, std::nullopt));
  EXPECT_THAT(Ask(*expert, OneRow()).get(), IsOk());
}

TEST_F(ColdExpertTest, BecomesColdWhenTheLastAddressGoes) {
  ExpertServer server;
  Say(HostAddresses{"127.0.0.1"});
  const auto expert = Named(server.address().port);
  EXPECT_TRUE(Becomes(*expert, std::nullopt));
  ASSERT_THAT(Ask(*expert, OneRow()).get(), IsOk());
  Say(HostAddresses{});
  EXPECT_TRUE(Becomes(*expert, MissingReason::kCold));
  EXPECT_THAT(expert->Endpoints(), IsEmpty());
  Say(HostAddresses{"127.0.0.1"});
  EXPECT_TRUE(Becomes(*expert, std::nullopt));
}

TEST_F(ColdExpertTest, WhatNobodyCouldSayChangesNothing) {
  Say(absl::UnavailableError("no answer in time"));
  ExpertServer server;
  const auto expert = Named(server.address().port);
  EXPECT_TRUE(Eventually([&] { return Now(told_failed_) >= 2; }));
  EXPECT_EQ(expert->Unavailable(), MissingReason::kDown);  // And not cold: nobody knows.
  Say(HostAddresses{"127.0.0.1"});
  EXPECT_TRUE(Becomes(*expert, std::nullopt));
  Say(absl::UnavailableError("no answer in time"));
  const int before = Now(told_failed_);
  EXPECT_TRUE(Eventually([&] { return Now(told_failed_) >= before + 2; }));
  EXPECT_EQ(expert->Unavailable(), std::nullopt);
}

TEST_F(ColdExpertTest, IsToldOnceAndNotWithEachLookUp) {
  const auto expert = Named(1);
  EXPECT_TRUE(Becomes(*expert, MissingReason::kCold));
  const int before = Now(look_ups_);
  EXPECT_TRUE(Eventually([&] { return Now(look_ups_) >= before + 3; }));
  EXPECT_EQ(Now(told_empty_), 1);
}

TEST_F(ColdExpertTest, ADeadAddressIsDownAndNotCold) {
  const SilentPort silent;
  Say(HostAddresses{AddressOf(silent).host});
  const auto expert = Named(AddressOf(silent).port);
  EXPECT_TRUE(Becomes(*expert, MissingReason::kDown));
}

}  // namespace
}  // namespace orchard::experts
