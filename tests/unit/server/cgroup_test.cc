#include "server/cgroup.h"

#include <fstream>
#include <map>
#include <optional>
#include <ostream>
#include <string>

#include <gtest/gtest.h>

#include "tests/testing/temp_dir.h"

namespace orchard::server {
namespace {

constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;

struct GroupCase {
  std::string name;
  std::map<std::string, std::string> files;  // below the root
  size_t affinity;
  double cpus;
  std::optional<std::uint64_t> memory;
};

void PrintTo(const GroupCase& group, std::ostream* out) { *out << group.name; }

class AllowanceTest : public ::testing::TestWithParam<GroupCase> {};

TEST_P(AllowanceTest, IsTheSmallestOfAllLimits) {
  const orchard::testing::TempDir root;
  for (const auto& [path, text] : GetParam().files) {
    const std::filesystem::path file = root.path() / path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  const Allowance allowance = ReadAllowance(root.path(), GetParam().affinity);
  EXPECT_DOUBLE_EQ(allowance.cpus, GetParam().cpus);
  EXPECT_EQ(allowance.memory, GetParam().memory);
}

const std::string kV2 = "sys/fs/cgroup/";

INSTANTIATE_TEST_SUITE_P(
    Table, AllowanceTest,
    ::testing::Values(
        GroupCase{"NoGroups", {}, 8, 8.0, std::nullopt},
        GroupCase{"NoLimits",
                  {{"proc/self/cgroup", "0::/\n"},
                   {kV2 + "cpu.max", "max 100000\n"},
                   {kV2 + "memory.max", "max\n"}},
                  8,
                  8.0,
                  std::nullopt},
        GroupCase{"AContainer",
                  {{"proc/self/cgroup", "0::/\n"},
                   {kV2 + "cpu.max", "150000 100000\n"},
                   {kV2 + "memory.max", "1073741824\n"}},
                  64,
                  1.5,
                  kGiB},
        GroupCase{"TheAffinityIsSmaller",
                  {{"proc/self/cgroup", "0::/\n"}, {kV2 + "cpu.max", "800000 100000\n"}},
                  2,
                  2.0,
                  std::nullopt},
        GroupCase{"TheGroupAroundIsSmaller",
                  {{"proc/self/cgroup", "0::/pods/router\n"},
                   {kV2 + "pods/router/cpu.max", "max 100000\n"},
                   {kV2 + "pods/router/memory.max", "4294967296\n"},
                   {kV2 + "pods/cpu.max", "400000 100000\n"},
                   {kV2 + "pods/memory.max", "2147483648\n"}},
                  64,
                  4.0,
                  2 * kGiB},
        GroupCase{"APathThatOnlyTheMachineKnows",
                  {{"proc/self/cgroup", "0::/system.slice/docker-1234.scope\n"},
                   {kV2 + "cpu.max", "50000 100000\n"}},
                  64,
                  0.5,
                  std::nullopt},
        GroupCase{"AboveTheNamespace",
                  {{"proc/self/cgroup", "0::/../other\n"}, {kV2 + "cpu.max", "50000 100000\n"}},
                  64,
                  0.5,
                  std::nullopt},
        GroupCase{
            "Version1",
            {{"proc/self/cgroup", "4:memory:/docker/1\n3:cpu,cpuacct:/docker/1\n1:name=x:/\n"},
             {kV2 + "cpu,cpuacct/docker/1/cpu.cfs_quota_us", "300000\n"},
             {kV2 + "cpu,cpuacct/docker/1/cpu.cfs_period_us", "100000\n"},
             {kV2 + "memory/docker/1/memory.limit_in_bytes", "2147483648\n"},
             {kV2 + "memory/memory.limit_in_bytes", "9223372036854771712\n"}},
            64,
            3.0,
            2 * kGiB},
        GroupCase{"Version1WithoutLimits",
                  {{"proc/self/cgroup", "4:memory:/\n3:cpu,cpuacct:/\n"},
                   {kV2 + "cpu/cpu.cfs_quota_us", "-1\n"},
                   {kV2 + "cpu/cpu.cfs_period_us", "100000\n"},
                   {kV2 + "memory/memory.limit_in_bytes", "9223372036854771712\n"}},
                  4,
                  4.0,
                  std::nullopt},
        GroupCase{"BothVersions",
                  {{"proc/self/cgroup", "3:cpu,cpuacct:/a\n0::/a\n"},
                   {kV2 + "cpu,cpuacct/a/cpu.cfs_quota_us", "100000\n"},
                   {kV2 + "cpu,cpuacct/a/cpu.cfs_period_us", "50000\n"},
                   {kV2 + "unified/a/memory.max", "1073741824\n"}},
                  64,
                  2.0,
                  kGiB},
        GroupCase{"Nonsense",
                  {{"proc/self/cgroup", "what\n0::/\n"},
                   {kV2 + "cpu.max", "many few\n"},
                   {kV2 + "memory.max", "-5\n"}},
                  3,
                  3.0,
                  std::nullopt}),
    [](const auto& param_info) { return param_info.param.name; });

TEST(AllowanceTest, OfThisProcessIsSomething) {
  const Allowance own = OwnAllowance();
  EXPECT_GT(own.cpus, 0.0);
}

struct DivideCase {
  double cpus;
  std::optional<std::uint64_t> memory;
  size_t decode, encode;
};

TEST(DivideWorkersTest, GivesEveryWholeCoreAnEncoderAndAsManyDecodersAsFitTheMemory) {
  for (const auto& [cpus, memory, decode, encode] :
       {DivideCase{0.25, {}, 1, 1}, DivideCase{1.0, {}, 1, 1}, DivideCase{2.0, {}, 2, 2},
        DivideCase{2.5, {}, 2, 2}, DivideCase{4.0, {}, 4, 4}, DivideCase{7.9, {}, 7, 7},
        DivideCase{64.0, {}, 64, 64}, DivideCase{64.0, 256 * kGiB, 64, 64},
        DivideCase{64.0, 8 * kGiB, 8, 64}, DivideCase{4.0, kGiB, 1, 4},
        DivideCase{4.0, kGiB / 4, 1, 4}}) {
    SCOPED_TRACE(cpus);
    const WorkerCounts workers = DivideWorkers({.cpus = cpus, .memory = memory}, kGiB / 4);
    EXPECT_EQ(workers.decode, decode);
    EXPECT_EQ(workers.encode, encode);
  }
}

TEST(AtMostForDecodingTest, WhatAllDecodersHoldFitsAQuarterOfAnyMemory) {
  for (const std::uint64_t memory :
       {kGiB / 8, kGiB / 4, kGiB / 2, 700 * kGiB / 1024, kGiB, 3 * kGiB, 64 * kGiB}) {
    SCOPED_TRACE(memory);
    const Allowance allowance{.cpus = 8.0, .memory = memory};
    const std::uint64_t bytes = AtMostForDecoding(allowance, kGiB / 4);
    EXPECT_LE(bytes, kGiB / 4);
    EXPECT_LE(DivideWorkers(allowance, bytes).decode * bytes, memory / 4);
    EXPECT_EQ(DecodingBytes(allowance), memory / 4);
  }
  EXPECT_EQ(AtMostForDecoding({.memory = kGiB}, kGiB / 4), kGiB / 4);
  EXPECT_EQ(AtMostForDecoding({}, kGiB / 4), kGiB / 4);
  EXPECT_EQ(DecodingBytes({}), std::nullopt);
}

TEST(AtMostAnEighthTest, FitsASmallMemoryAndLeavesALargeOne) {
  EXPECT_EQ(AtMostAnEighth({.memory = kGiB}, kGiB / 2), kGiB / 8);
  EXPECT_EQ(AtMostAnEighth({.memory = 64 * kGiB}, kGiB / 2), kGiB / 2);
  EXPECT_EQ(AtMostAnEighth({.memory = kGiB / 8}, kGiB / 2), std::uint64_t{64} << 20);
  EXPECT_EQ(AtMostAnEighth({}, kGiB / 2), kGiB / 2);
}

TEST(PictureBytesTest, AreAQuarterOfTheMemory) {
  EXPECT_EQ(PictureBytes({.memory = 4 * kGiB}), kGiB);
  EXPECT_GE(PictureBytes({}), std::uint64_t{64} << 20);
}

}  // namespace
}  // namespace orchard::server
