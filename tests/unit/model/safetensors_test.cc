#include "model/safetensors.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/text.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace orchard::model {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

/// A file with `header` and `data_bytes` zeros.
std::string FileOf(const std::string& header, size_t data_bytes) {
  const std::uint64_t length = header.size();
  std::string file(reinterpret_cast<const char*>(&length), sizeof(length));
  return file + header + std::string(data_bytes, '\0');
}

TensorMap Example() {
  return {{"weight", Store({2, 3}, {0, 1, -2, 0.5F, 1e-3F, 100}, StoredType::kF16)},
          {"bias", Store({2}, {0.1F, -0.2F}, StoredType::kF32)},
          {"count", Store({}, {7}, StoredType::kI64)}};
}

TEST(SafetensorsTest, WhatIsWrittenIsReadBack) {
  const auto read = ParseSafetensors(SerialiseSafetensors(Example()), "f");
  ASSERT_THAT(read, IsOk());
  for (const auto& [name, tensor] : Example()) {
    ASSERT_TRUE(read->contains(name));
    EXPECT_EQ(read->at(name).type, tensor.type) << name;
    EXPECT_EQ(read->at(name).shape, tensor.shape) << name;
    EXPECT_EQ(read->at(name).bytes, tensor.bytes) << name;
  }
  EXPECT_EQ(read->size(), Example().size());
}

TEST(SafetensorsTest, LayoutIsTheFormatsOwn) {
  // Independent of our reader: names in order, offsets without gaps, header padded to 8 bytes.
  const std::string file = SerialiseSafetensors(
      {{"b", Store({1}, {1}, StoredType::kF32)}, {"a", Store({1}, {1}, StoredType::kF16)}});
  std::uint64_t length = 0;
  std::memcpy(&length, file.data(), sizeof(length));
  EXPECT_EQ(length % 8, 0U);
  std::string header = file.substr(8, length);
  header.erase(header.find_last_not_of(' ') + 1);
  EXPECT_EQ(header, R"({"a":{"data_offsets":[0,2],"dtype":"F16","shape":[1]},)"
                    R"("b":{"data_offsets":[2,6],"dtype":"F32","shape":[1]}})");
  EXPECT_EQ(file.substr(8 + length), std::string("\x00\x3c\x00\x00\x80\x3f", 6));
}

TEST(SafetensorsTest, MetadataIsAllowedAndIgnored) {
  const std::string header = R"({"__metadata__":{"format":"pt"},)"
                             R"("a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
  const auto read = ParseSafetensors(FileOf(header, 4), "f");
  ASSERT_THAT(read, IsOk());
  EXPECT_EQ(read->size(), 1U);
}

TEST(SafetensorsTest, HalvesAreRoundedToTheNearestAndTiesToEven) {
  const float ulp = 1.0F / 1024;  // of FP16 at 1
  const StoredTensor tensor =
      Store({5}, {1 + ulp / 2, 1 + 1.5F * ulp, 1 + 0.6F * ulp, 6e-8F, 65504}, StoredType::kF16);
  EXPECT_THAT(tensor.Floats(), ElementsAre(1, 1 + 2 * ulp, 1 + ulp, 5.9604645e-8F, 65504));
}

TEST(SafetensorsTest, ATensorIsPrintedByTypeAndShape) {
  std::ostringstream out;
  out << Store({2, 3}, std::vector<float>(6), StoredType::kF16);
  EXPECT_EQ(out.str(), "F16 [2, 3]");
}

TEST(SafetensorsTest, MissingFileIsNamed) {
  EXPECT_THAT(ReadSafetensors("/nowhere/x.safetensors"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("/nowhere/x.safetensors")));
}

TEST(SafetensorsTest, ReadsFromAFolder) {
  const testing::TempDir dir;
  ASSERT_THAT(core::WriteFile(dir / "x.safetensors", SerialiseSafetensors(Example())), IsOk());
  EXPECT_THAT(ReadSafetensors(dir / "x.safetensors"), IsOk());
}

TEST(SafetensorsTest, EveryTruncationIsRefused) {
  const std::string file = SerialiseSafetensors(Example());
  for (size_t length = 0; length < file.size(); ++length) {
    EXPECT_THAT(ParseSafetensors(std::string_view(file).substr(0, length), "f"),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("f: ")))
        << length << " of " << file.size() << " bytes";
  }
}

struct BrokenCase {
  std::string name;
  std::string file;
  std::string reason;
};

/// One tensor "a" with the given fields.
std::string OneTensor(const std::string& fields, size_t data_bytes) {
  return FileOf(R"({"a":{)" + fields + "}}", data_bytes);
}

std::string WithBits(std::uint32_t bits) {
  StoredTensor tensor = Store({2}, {1, 1}, StoredType::kF32);
  std::memcpy(tensor.bytes.data() + 4, &bits, sizeof(bits));
  return SerialiseSafetensors({{"a", tensor}});
}

class BrokenSafetensorsTest : public ::testing::TestWithParam<BrokenCase> {};

TEST_P(BrokenSafetensorsTest, IsRefusedWithFileAndReason) {
  EXPECT_THAT(ParseSafetensors(GetParam().file, "dir/part.safetensors"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("dir/part.safetensors"), HasSubstr(GetParam().reason))));
}

INSTANTIATE_TEST_SUITE_P(
    Table, BrokenSafetensorsTest,
    ::testing::Values(
        BrokenCase{"HeaderLongerThanFile", std::string("\xff\0\0\0\0\0\0\0{}", 10), "255 bytes"},
        BrokenCase{"HeaderOverTheLimit", std::string("\xff\xff\xff\xff\xff\xff\xff\xff{}", 10),
                   "limit is 100000000"},
        BrokenCase{"HeaderIsNoJson", FileOf("{\"a\":", 0), "not a JSON object"},
        BrokenCase{"HeaderIsAList", FileOf("[]", 0), "not a JSON object"},
        BrokenCase{"NameTwice",
                   FileOf(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                          R"("a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
                          4),
                   "\"a\" twice"},
        BrokenCase{"FieldTwice",
                   OneTensor(R"("dtype":"F32","shape":[1],"shape":[1],"data_offsets":[0,4])", 4),
                   "\"shape\" twice"},
        BrokenCase{"UnknownType",
                   OneTensor(R"("dtype":"BF16","shape":[2],"data_offsets":[0,4])", 4),
                   "\"BF16\"; known: F32, F16, I64"},
        BrokenCase{"UnknownField",
                   OneTensor(R"("dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1)", 4),
                   "exactly dtype, shape and data_offsets"},
        BrokenCase{"ShapeAgainstBytes",
                   OneTensor(R"("dtype":"F32","shape":[3],"data_offsets":[0,4])", 4),
                   "\"a\" of shape [3]"},
        BrokenCase{"ShapeOverflows",
                   OneTensor(R"("dtype":"F32","shape":[4611686018427387904,4611686018427387904],)"
                             R"("data_offsets":[0,0])",
                             0),
                   "\"a\" of shape"},
        BrokenCase{
            "ShapeBeyondSigned",
            OneTensor(R"("dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,4])", 4),
            "\"a\" of shape"},
        BrokenCase{"NegativeDimension",
                   OneTensor(R"("dtype":"F32","shape":[-1],"data_offsets":[0,4])", 4),
                   "has shape [-1]"},
        BrokenCase{"OffsetsBackwards",
                   OneTensor(R"("dtype":"F32","shape":[1],"data_offsets":[4,0])", 4), "[4,0]"},
        BrokenCase{"OffsetsOutside",
                   OneTensor(R"("dtype":"F32","shape":[2],"data_offsets":[0,8])", 4),
                   "bytes 0 to 8 of 4"},
        BrokenCase{"Hole", OneTensor(R"("dtype":"F32","shape":[1],"data_offsets":[4,8])", 8),
                   "expected to start at 0"},
        BrokenCase{"Overlap",
                   FileOf(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                          R"("b":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}})",
                          6),
                   "expected to start at 4"},
        BrokenCase{"BytesAfterTheLast",
                   OneTensor(R"("dtype":"F32","shape":[1],"data_offsets":[0,4])", 6),
                   "2 bytes after the last tensor"},
        BrokenCase{"NotANumber", WithBits(0x7fc00000U), "\"a\" holds NaN"},
        BrokenCase{"Infinity", WithBits(0xff800000U), "\"a\" holds NaN or an infinity"},
        BrokenCase{"HalfInfinity",
                   SerialiseSafetensors({{"a", Store({1}, {1e6F}, StoredType::kF16)}}),
                   "\"a\" holds NaN or an infinity"}),
    [](const auto& param_info) { return param_info.param.name; });

}  // namespace
}  // namespace orchard::model
