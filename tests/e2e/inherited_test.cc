// Programs for the terminal, started by a parent that closed descriptors: a file or a connection
// must not get the number of stdin or stderr, or lines for people go into it.

#include <string>
#include <sys/stat.h>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/child_process.h"
#include "tests/testing/eventually.h"
#include "tests/testing/temp_dir.h"

namespace orchard {
namespace {

using testing::BinaryPath;
using testing::ChildProcess;
using testing::Eventually;

/// The program by way of a shell that closes stdin and stderr, waiting for what it is to read: a
/// pipe that nobody writes to.
std::vector<std::string> Waiting(std::vector<std::string> command, const std::string& pipe) {
  command.insert(command.begin(), {"/bin/bash", "-c", "exec 0<&- 2>&-; exec \"$0\" \"$@\""});
  EXPECT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  command.push_back(pipe);
  return command;
}

void ExpectThatTheyLeadNowhere(const ChildProcess& child, const std::string& program) {
  const bool so = Eventually([&] {
    return child.ListedName() == program && child.Descriptor(0) == "/dev/null" &&
           child.Descriptor(2) == "/dev/null";
  });
  EXPECT_TRUE(so) << child.ListedName() << ": stdin is \"" << child.Descriptor(0) << "\", stderr \""
                  << child.Descriptor(2) << "\"";
}

TEST(InheritedTest, ClosedDescriptorsOfTrainingLeadNowhere) {
  const testing::TempDir dir;
  const ChildProcess child(
      Waiting({BinaryPath("orchard-train"), "stats", "--data", dir.path().string(), "--recipe"},
              dir / "recipe"));
  ExpectThatTheyLeadNowhere(child, "orchard-train");
}

TEST(InheritedTest, ClosedDescriptorsOfTheCommandLeadNowhere) {
  const testing::TempDir dir;
  const ChildProcess child(
      Waiting({BinaryPath("orchard"), "classify", "--server", "127.0.0.1:1", "--timeout", "60s"},
              dir / "leaf.jpg"));
  ExpectThatTheyLeadNowhere(child, "orchard");
}

}  // namespace
}  // namespace orchard
