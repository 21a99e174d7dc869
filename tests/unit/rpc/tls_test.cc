#include "rpc/tls.h"

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/test_ca.h"

namespace orchard::rpc {
namespace {

namespace fs = std::filesystem;
using ::orchard::testing::Identity;
using ::orchard::testing::IsOk;
using ::orchard::testing::StatusIs;
using ::orchard::testing::TempDir;
using ::orchard::testing::TestCa;
using std::chrono::hours;
using ::testing::AllOf;
using ::testing::HasSubstr;

class TlsTest : public ::testing::Test {
 protected:
  absl::StatusOr<TlsPem> Read(const TlsFiles& files) const {
    return ReadTls(files, std::chrono::system_clock::now());
  }

  static void Write(const fs::path& path, const std::string& text) {
    std::ofstream(path, std::ios::trunc) << text;
  }

  const TempDir dir_;
  TestCa ca_{dir_.path()};
};

TEST_F(TlsTest, ReadsAnIdentityAndWhenItEnds) {
  const Identity own = ca_.Issue(dir_.path(), "own", {.end = hours(48)});
  const auto pem = Read({.ca = ca_.cert(), .cert = own.cert, .key = own.key});
  ASSERT_THAT(pem, IsOk());
  const auto now = std::chrono::system_clock::now();
  EXPECT_GT(*pem->cert_not_after, now + hours(47));
  EXPECT_LT(*pem->cert_not_after, now + hours(49));
  EXPECT_LT(*pem->ca_not_after, now + hours(25));
}

TEST_F(TlsTest, NothingIsAlsoAnAnswer) {
  const auto pem = Read({});
  ASSERT_THAT(pem, IsOk());
  EXPECT_EQ(pem->ca_not_after, std::nullopt);
  EXPECT_FALSE(TlsFiles{}.any());
}

TEST_F(TlsTest, SaysWhichFileIsWrongAndWhy) {
  const Identity own = ca_.Issue(dir_.path(), "own");
  const Identity other = ca_.Issue(dir_.path(), "other");
  const Identity old = ca_.Issue(dir_.path(), "old", {.begin = hours(-9), .end = hours(-1)});
  const Identity early = ca_.Issue(dir_.path(), "early", {.begin = hours(1)});
  const fs::path text = dir_ / "text.pem";
  Write(text, "no certificate at all\n");
  const fs::path broken = dir_ / "broken.pem";
  Write(broken, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
  struct Case {
    TlsFiles files;
    fs::path named;
    std::string why;
  };
  const std::vector<Case> cases = {
      {{.cert = dir_ / "none.pem", .key = own.key}, dir_ / "none.pem", "no such file"},
      {{.cert = own.cert, .key = dir_.path()}, dir_.path(), "Is a directory"},
      {{.cert = own.cert, .key = other.key}, other.key, "is not the key of the certificate in"},
      {{.cert = own.cert, .key = own.cert}, own.cert, "holds no private key"},
      {{.cert = own.key, .key = own.key}, own.key, "holds no certificate"},
      {{.cert = old.cert, .key = old.key}, old.cert, "expired at 20"},
      {{.cert = early.cert, .key = early.key}, early.cert, "is not valid before 20"},
      {{.cert = own.cert}, own.cert, "a certificate without a key"},
      {{.key = own.key}, own.key, "a key without a certificate"},
      {{.ca = text}, text, "holds no certificate"},
      {{.ca = broken}, broken, "holds a damaged certificate"},
      {{.ca = old.cert}, old.cert, "expired at 20"},
  };
  for (const Case& one : cases) {
    EXPECT_THAT(Read(one.files), StatusIs(absl::StatusCode::kInvalidArgument,
                                          AllOf(HasSubstr(one.named.string()), HasSubstr(one.why))))
        << one.why;
  }
}

TEST_F(TlsTest, ABundleMayHoldAnAuthorityThatHasExpired) {
  const Identity old = ca_.Issue(dir_.path(), "old", {.begin = hours(-9), .end = hours(-1)});
  std::ofstream bundle(dir_ / "bundle.pem");
  bundle << std::ifstream(old.cert).rdbuf() << std::ifstream(ca_.cert()).rdbuf();
  bundle.close();
  EXPECT_THAT(Read({.ca = dir_ / "bundle.pem"}), IsOk());
}

TEST_F(TlsTest, ABadReloadKeepsWhatWasGoodAndTellsItOnce) {
  Identity own = ca_.Issue(dir_.path(), "own");
  std::vector<absl::Status> told;
  std::vector<std::string> in_use;
  const auto source =
      TlsSource::Load({.cert = own.cert, .key = own.key},
                      {.interval = hours(1), .on_reload = [&](const auto& status, const auto& pem) {
                         told.push_back(status);
                         in_use.push_back(pem.cert);
                       }});
  ASSERT_THAT(source, IsOk());
  const auto before = (*source)->pem();
  EXPECT_THAT((*source)->Reload(), IsOk());
  EXPECT_TRUE(told.empty());  // Nothing has changed.

  const Identity other = ca_.Issue(dir_.path(), "other");
  fs::copy_file(other.cert, own.cert, fs::copy_options::overwrite_existing);
  EXPECT_THAT((*source)->Reload(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("is not the key")));
  EXPECT_FALSE((*source)->Reload().ok());
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ((*source)->pem(), before);

  fs::copy_file(other.key, own.key, fs::copy_options::overwrite_existing);
  EXPECT_THAT((*source)->Reload(), IsOk());
  ASSERT_EQ(told.size(), 2U);
  EXPECT_THAT(told.back(), IsOk());
  EXPECT_NE((*source)->pem()->cert, before->cert);
  // What it is told without asking the source, which may be about to die.
  EXPECT_EQ(in_use, std::vector<std::string>({before->cert, (*source)->pem()->cert}));
}

TEST_F(TlsTest, TheFirstNameOfACertificateIsOneThatItMatches) {
  for (const std::string first : {"DNS:farm.test", "IP:10.0.0.1", "IP:2001:db8::1",
                                  "URI:spiffe://farm/router", "email:a@farm.test", "DNS:*.farm"}) {
    const Identity own = ca_.Issue(dir_.path(), "own", {.names = first + ",DNS:other.test"});
    const auto name = FirstNameOf(own.cert);
    ASSERT_THAT(name, IsOk());
    EXPECT_EQ(*name, first.substr(first.find(':') + 1));
    EXPECT_TRUE(NameMatches(*name, *name));
  }
  EXPECT_THAT(FirstNameOf(ca_.cert()), StatusIs(absl::StatusCode::kInvalidArgument,
                                                HasSubstr("has no subject alternative name")));
  EXPECT_THAT(FirstNameOf("/none.pem"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("/none.pem")));
}

TEST(NameMatchesTest, KnowsHostsAddressesUrisAndWildcards) {
  EXPECT_TRUE(NameMatches("Router.example", "router.EXAMPLE"));
  EXPECT_TRUE(NameMatches("spiffe://farm/router", "spiffe://farm/router"));
  EXPECT_TRUE(NameMatches("10.0.0.1", "10.0.0.1"));
  EXPECT_TRUE(NameMatches("*.example.org", "a.example.org"));
  EXPECT_FALSE(NameMatches("*.example.org", "a.b.example.org"));
  EXPECT_FALSE(NameMatches("*.example.org", "example.org"));
  EXPECT_FALSE(NameMatches("*.example.org", ".example.org"));
  EXPECT_FALSE(NameMatches("a.example.org", "*.example.org"));
  EXPECT_FALSE(NameMatches("", ""));
}

}  // namespace
}  // namespace orchard::rpc
