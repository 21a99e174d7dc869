#include "clients/cpp/classify_command.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <set>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/text.h"
#include "nlohmann/json.hpp"
#include "rpc/status.h"
#include "tests/integration/clients/fake_classifier.h"
#include "tests/testing/temp_dir.h"

namespace orchard::client {
namespace {

using ::orchard::testing::DeadAddress;
using ::orchard::testing::FakeClassifier;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class ClassifyCommandTest : public ::testing::Test {
 protected:
  std::string Put(const std::string& name, const std::string& bytes) {
    EXPECT_TRUE(core::WriteFile(dir_.path() / name, bytes).ok());
    return (dir_.path() / name).string();
  }

  int Run(std::vector<std::string> arguments, bool json) {
    ClassifyCommand command;
    command.server.servers = {server_.address()};
    command.server.timeout = std::chrono::seconds(30);
    command.arguments = std::move(arguments);
    command.json = json;
    return RunClassify(command, {in_, out_, err_, false});
  }

  std::vector<nlohmann::json> Lines() const {
    std::vector<nlohmann::json> lines;
    std::istringstream text(out_.str());
    for (std::string line; std::getline(text, line);) lines.push_back(nlohmann::json::parse(line));
    return lines;
  }

  orchard::testing::TempDir dir_;
  FakeClassifier server_;
  std::istringstream in_;
  std::ostringstream out_;
  std::ostringstream err_;
};

TEST_F(ClassifyCommandTest, EveryPictureIsAnsweredAlsoRepeatedPaths) {
  const std::string a = Put("a.jpg", "apple");
  const std::string b = Put("b.jpg", "banana");
  EXPECT_EQ(Run({a, b, a}, /*json=*/true), kAllDone);
  std::multiset<std::string> got;
  for (const auto& line : Lines()) {
    got.insert(line.at("file").get<std::string>() + "=" +
               line.at("predictions").at(0).at("label").get<std::string>());
  }
  EXPECT_EQ(got, (std::multiset<std::string>{a + "=apple", b + "=banana", a + "=apple"}));
}

TEST_F(ClassifyCommandTest, PeopleSeePicturesInTheOrderTheyGave) {
  std::vector<std::string> files;
  for (int i = 0; i < 20; ++i) {
    files.push_back(Put("p" + std::to_string(i) + ".jpg", "x" + std::to_string(i)));
  }
  EXPECT_EQ(Run(files, /*json=*/false), kAllDone);
  std::istringstream text(out_.str());
  std::string line;
  std::getline(text, line);  // The heading.
  for (const std::string& file : files) {
    ASSERT_TRUE(std::getline(text, line));
    EXPECT_THAT(line, HasSubstr(file));
  }
}

TEST_F(ClassifyCommandTest, AFailureIsALineOnStandardErrorAndExitCodeOne) {
  const std::string good = Put("good.jpg", "apple");
  const std::string bad = Put("bad.jpg", "bad");
  EXPECT_EQ(Run({good, bad, "missing.jpg"}, /*json=*/true), kSomeFailed);
  EXPECT_EQ(Lines().size(), 1u);
  EXPECT_THAT(err_.str(), AllOf(HasSubstr("orchard: " + bad + ": INVALID_ARGUMENT: not an image"),
                                HasSubstr("orchard: missing.jpg: no such file")));
}

TEST_F(ClassifyCommandTest, AFolderWithoutPicturesFailsAloneInItsPlace) {
  const std::string a = Put("a.jpg", "apple");
  const std::string b = Put("b.jpg", "banana");
  const std::string empty = (dir_.path() / "empty").string();
  std::filesystem::create_directory(empty);
  EXPECT_EQ(Run({a, empty, b}, /*json=*/true), kSomeFailed);
  EXPECT_EQ(Lines().size(), 2u);
  EXPECT_EQ(err_.str(),
            "orchard: " + empty + ": no picture in this folder (.jpg .jpeg .png .webp)\n");
}

TEST_F(ClassifyCommandTest, AFileOverTheServersLimitIsALineAndTheOthersAreAnswered) {
  server_.set_max_image_bytes(16 << 20);
  Put("a.jpg", "apple");
  const std::string huge = Put("b.jpg", "");
  std::filesystem::resize_file(huge, std::uintmax_t{2100} << 20);  // Takes no room on the disk.
  Put("c.jpg", "cherry");
  EXPECT_EQ(Run({dir_.path().string()}, /*json=*/true), kSomeFailed);
  EXPECT_EQ(Lines().size(), 2u);
  EXPECT_EQ(err_.str(), "orchard: " + huge +
                            ": 2.1 GiB is over the 16.0 MiB that the server allows; not sent\n");
}

TEST_F(ClassifyCommandTest, NamesAndTheServersWordsAreShownAndNotObeyed) {
  Put("a\nb.jpg", "apple");
  Put("c\x1b[31md.jpg", "bad");
  EXPECT_EQ(Run({dir_.path().string(), "no\x1b[31m.jpg"}, /*json=*/false), kSomeFailed);
  EXPECT_THAT(out_.str(), AllOf(HasSubstr("a\\nb.jpg"), Not(HasSubstr("\x1b"))));
  EXPECT_EQ(std::ranges::count(out_.str(), '\n'), 2);  // The heading, one answer.
  EXPECT_THAT(err_.str(), AllOf(HasSubstr("c\\x1b[31md.jpg: INVALID_ARGUMENT"),
                                HasSubstr("no\\x1b[31m.jpg: no such file")));
  EXPECT_EQ(std::ranges::count(err_.str(), '\n'), 2);
  EXPECT_THAT(err_.str(), Not(HasSubstr("\x1b")));
}

TEST_F(ClassifyCommandTest, AServersWordsStayOnOneLine) {
  server_.Refuse(1, absl::InvalidArgumentError("first\nsecond\x1b[2J"));
  EXPECT_EQ(Run({Put("a.jpg", "apple")}, /*json=*/false), kSomeFailed);
  EXPECT_THAT(err_.str(), HasSubstr("INVALID_ARGUMENT: first\\nsecond\\x1b[2J\n"));
}

TEST_F(ClassifyCommandTest, ABusyServerIsWaitedFor) {
  server_.Refuse(
      2, rpc::WithPushback(absl::ResourceExhaustedError("full"), std::chrono::milliseconds(5)));
  EXPECT_EQ(Run({Put("a.jpg", "apple")}, /*json=*/true), kAllDone);
  EXPECT_EQ(server_.calls(), 3);
}

TEST_F(ClassifyCommandTest, SidecarsOfMacosArePassedOver) {
  Put("a.jpg", "apple");
  Put("._a.jpg", std::string("\0\5\26\7\0\2\0\0Mac OS X", 16));
  EXPECT_EQ(Run({dir_.path().string()}, /*json=*/true), kAllDone);
  EXPECT_EQ(Lines().size(), 1u);
}

TEST_F(ClassifyCommandTest, StandardInputIsAPicture) {
  in_.str("pear");
  EXPECT_EQ(Run({"-"}, /*json=*/true), kAllDone);
  EXPECT_EQ(Lines().at(0).at("file"), "-");
  EXPECT_EQ(Lines().at(0).at("predictions").at(0).at("label"), "pear");
}

TEST_F(ClassifyCommandTest, StandardInputNamedTwiceIsTheSamePictureTwice) {
  in_.str("pear");
  EXPECT_EQ(Run({"-", "-"}, /*json=*/true), kAllDone);
  ASSERT_EQ(Lines().size(), 2u);
  for (const auto& line : Lines()) {
    EXPECT_EQ(line.at("predictions").at(0).at("label"), "pear");
  }
}

TEST_F(ClassifyCommandTest, WhenNoServerAnswersASentenceSaysSo) {
  ClassifyCommand command;
  const std::string address = DeadAddress();
  command.server.servers = {address};
  command.arguments = {Put("a.jpg", "apple")};
  command.json = true;
  EXPECT_EQ(RunClassify(command, {in_, out_, err_, false}), kSomeFailed);
  EXPECT_THAT(err_.str(), HasSubstr("no server answers at " + address + "; start one with"));
  EXPECT_THAT(out_.str(), IsEmpty());
}

TEST_F(ClassifyCommandTest, AnAnswerThatCantBeWrittenEndsTheCommandWithALineAndExitCodeOne) {
  out_.setstate(std::ios::badbit);
  const std::string a = Put("a.jpg", "apple");
  EXPECT_EQ(Run({a, a, a, a, a, a, a, a}, /*json=*/true), kSomeFailed);
  EXPECT_EQ(err_.str(), "orchard: answers can't be written\n");
  EXPECT_LE(server_.calls(), 4);  // What was in progress.
}

}  // namespace
}  // namespace orchard::client
