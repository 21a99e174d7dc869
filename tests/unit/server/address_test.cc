#include "server/address.h"

#include <gtest/gtest.h>

#include "tests/testing/status_matchers.h"

namespace orchard::server {
namespace {

using ::orchard::testing::IsOkAndHolds;
using ::orchard::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

struct GoodCase {
  std::string name;
  std::string text;
  Address want;
};

class GoodAddressTest : public ::testing::TestWithParam<GoodCase> {};

TEST_P(GoodAddressTest, IsReadAndWrittenBack) {
  const absl::StatusOr<Address> address = ParseAddress(GetParam().text);
  ASSERT_THAT(address, IsOkAndHolds(GetParam().want));
  EXPECT_EQ(address->ToString(), GetParam().text);
}

INSTANTIATE_TEST_SUITE_P(
    Table, GoodAddressTest,
    ::testing::Values(
        GoodCase{"IPv4", "127.0.0.1:8001", {.host = "127.0.0.1", .port = 8001}},
        GoodCase{"PortZero", "0.0.0.0:0", {.host = "0.0.0.0", .port = 0}},
        GoodCase{"LastPort", "localhost:65535", {.host = "localhost", .port = 65535}},
        GoodCase{"Name", "expert-apple.ns.svc:80", {.host = "expert-apple.ns.svc", .port = 80}},
        GoodCase{"IPv6", "[::1]:8001", {.host = "::1", .port = 8001}},
        GoodCase{"IPv6Zone", "[fe80::1%eth0]:1", {.host = "fe80::1%eth0", .port = 1}}),
    [](const auto& param_info) { return param_info.param.name; });

struct BadCase {
  std::string name;
  std::string text;
  std::string reason;
};

class BadAddressTest : public ::testing::TestWithParam<BadCase> {};

TEST_P(BadAddressTest, IsRefusedWithTheTextAndTheReason) {
  EXPECT_THAT(
      ParseAddress(GetParam().text),
      StatusIs(absl::StatusCode::kInvalidArgument,
               AllOf(HasSubstr("\"" + GetParam().text + "\""), HasSubstr(GetParam().reason))));
}

INSTANTIATE_TEST_SUITE_P(Table, BadAddressTest,
                         ::testing::Values(BadCase{"Empty", "", "port is missing"},
                                           BadCase{"NoPort", "127.0.0.1", "port is missing"},
                                           BadCase{"NoHost", ":8001", "host is empty"},
                                           BadCase{"EmptyPort", "a:", "not a number"},
                                           BadCase{"PortTooLarge", "a:65536", "0 to 65535"},
                                           BadCase{"NegativePort", "a:-1", "0 to 65535"},
                                           BadCase{"PortWithRest", "a:80x", "0 to 65535"},
                                           BadCase{"BareIPv6", "::1:8001", "in brackets"},
                                           BadCase{"OpenBracket", "[::1:80", "not closed"},
                                           BadCase{"BracketsWithoutPort", "[::1]",
                                                   "port is missing"},
                                           BadCase{"NameInBrackets", "[localhost]:80", "host"},
                                           BadCase{"Space", "a b:80", "strange letter"},
                                           BadCase{"Scheme", "http://a:80", "brackets"}),
                         [](const auto& param_info) { return param_info.param.name; });

}  // namespace
}  // namespace orchard::server
