#include "experts/internal/call_group.h"

#include <memory>
#include <thread>
#include <utility>

#include <gtest/gtest.h>

namespace orchard::experts::internal {
namespace {

/// A context that says when it is gone.
std::shared_ptr<grpc::ClientContext> Context(bool& gone) {
  return {new grpc::ClientContext, [&gone](grpc::ClientContext* context) {
            delete context;
            gone = true;
          }};
}

TEST(CallGroupTest, LeavingDropsTheContextBeforeAnyoneStopsWaiting) {
  CallGroup group;
  bool gone = false;
  auto context = Context(gone);
  ASSERT_TRUE(group.Enter(context));
  std::jthread callback(
      [&group, context = std::move(context)]() mutable { group.Leave(std::move(context)); });
  group.CancelAndWait();
  EXPECT_TRUE(gone);
}

TEST(CallGroupTest, NobodyEntersAClosedGroup) {
  CallGroup group;
  group.CancelAndWait();
  EXPECT_TRUE(group.closed());
  EXPECT_FALSE(group.Enter(std::make_shared<grpc::ClientContext>()));
}

TEST(CallGroupTest, WaitsForEachOfSeveral) {
  CallGroup group;
  bool first_gone = false;
  bool second_gone = false;
  auto first = Context(first_gone);
  auto second = Context(second_gone);
  ASSERT_TRUE(group.Enter(first));
  ASSERT_TRUE(group.Enter(second));
  group.Leave(std::move(first));
  EXPECT_TRUE(first_gone);
  EXPECT_FALSE(second_gone);
  std::jthread callback(
      [&group, second = std::move(second)]() mutable { group.Leave(std::move(second)); });
  group.CancelAndWait();
  EXPECT_TRUE(second_gone);
}

}  // namespace
}  // namespace orchard::experts::internal
