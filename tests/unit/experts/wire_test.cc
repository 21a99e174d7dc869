#include "experts/wire.h"

#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/allocations.h"
#include "tests/testing/expert_samples.h"
#include "tests/testing/status_matchers.h"

namespace orchard::experts {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::FloatNear;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::kSampleWidth;
using ::testing::Pointwise;
using testing::SampleFeatures;
using testing::SampleScores;
using testing::SampleSpec;
using testing::ShortMemory;
using testing::StatusIs;
using testing::WholeBatch;

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

v1::ScoreRequest SoundRequest(v1::DType dtype = v1::FP32, size_t rows = 2) {
  v1::ScoreRequest request;
  EXPECT_THAT(WriteRequest(WholeBatch(SampleFeatures(rows)), SampleSpec(), dtype, request), IsOk());
  return request;
}

std::vector<float> Read(const v1::ScoreRequest& request) {
  std::vector<float> values(static_cast<size_t>(request.features().shape(0)) * kSampleWidth);
  EXPECT_THAT(ReadFeatures(request.features(), values), IsOk());
  return values;
}

struct DTypeCase {
  v1::DType dtype;
  size_t bytes;     // of an element
  float tolerance;  // the samples are at most 1: half a unit in the last place there
};

class DTypeTest : public ::testing::TestWithParam<DTypeCase> {};

TEST_P(DTypeTest, CarriesTheChosenRowsInTheirOrder) {
  const auto features = SampleFeatures(4);
  v1::ScoreRequest request;
  ASSERT_THAT(WriteRequest({features, {3, 0}}, SampleSpec(), GetParam().dtype, request), IsOk());
  EXPECT_EQ(request.domain(), "apple");
  EXPECT_EQ(request.features().kind(), v1::POOLED);
  EXPECT_THAT(request.features().shape(), ElementsAre(2, kSampleWidth));
  EXPECT_EQ(request.features().data().size(), 2 * kSampleWidth * GetParam().bytes);
  ASSERT_THAT(CheckRequest(request, SampleSpec()), testing::IsOkAndHolds(2));

  std::vector<float> want;
  for (const size_t row : {3, 0}) {
    const auto values = features->Floats(row, 1);
    want.insert(want.end(), values.begin(), values.end());
  }
  EXPECT_THAT(Read(request), Pointwise(FloatNear(GetParam().tolerance), want));
}

INSTANTIATE_TEST_SUITE_P(Table, DTypeTest,
                         ::testing::Values(DTypeCase{v1::FP32, 4, 0.0F},
                                           DTypeCase{v1::FP16, 2, 0x1p-12F},
                                           DTypeCase{v1::BF16, 2, 0x1p-9F}),
                         [](const auto& param_info) {
                           return v1::DType_Name(param_info.param.dtype);
                         });

struct RequestFault {
  std::string name;
  std::function<void(v1::ScoreRequest&)> spoil;
  absl::StatusCode code;
  std::vector<std::string> says;
};

class RequestFaultTest : public ::testing::TestWithParam<RequestFault> {};

TEST_P(RequestFaultTest, IsRefusedWithValueAndLimit) {
  v1::ScoreRequest request = SoundRequest();
  GetParam().spoil(request);
  const absl::StatusOr<size_t> rows = CheckRequest(request, SampleSpec());
  for (const std::string& text : GetParam().says) {
    EXPECT_THAT(rows, StatusIs(GetParam().code, HasSubstr(text)));
  }
}

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

INSTANTIATE_TEST_SUITE_P(
    Table, RequestFaultTest,
    ::testing::Values(
        RequestFault{"OtherEncoder",
                     [](auto& r) { r.set_encoder_fingerprint("feedfeedfeedfeed"); },
                     absl::StatusCode::kFailedPrecondition,
                     {"feedfeedfeedfeed", testing::kSampleFingerprint}},
        RequestFault{"NoEncoder",
                     [](auto& r) { r.clear_encoder_fingerprint(); },
                     absl::StatusCode::kFailedPrecondition,
                     {testing::kSampleFingerprint}},
        RequestFault{"OtherKind",
                     [](auto& r) { r.mutable_features()->set_kind(v1::MAP); },
                     kInvalid,
                     {"kind MAP", "POOLED"}},
        RequestFault{"UnknownKind",
                     [](auto& r) { r.mutable_features()->set_kind(v1::FeatureKind(77)); },
                     kInvalid,
                     {"kind 77"}},
        RequestFault{"NoTensor",
                     [](auto& r) { r.clear_features(); },
                     kInvalid,
                     {"FEATURE_KIND_UNSPECIFIED"}},
        RequestFault{"Bytes",
                     [](auto& r) { r.mutable_features()->set_dtype(v1::UINT8); },
                     kInvalid,
                     {"UINT8", "FP32, FP16 or BF16"}},
        RequestFault{"UnknownDType",
                     [](auto& r) { r.mutable_features()->set_dtype(v1::DType(9)); },
                     kInvalid,
                     {"dtype 9"}},
        RequestFault{"NoShape",
                     [](auto& r) { r.mutable_features()->clear_shape(); },
                     kInvalid,
                     {"shape []", "[N, 8]"}},
        RequestFault{"OtherWidth",
                     [](auto& r) { r.mutable_features()->set_shape(1, 9); },
                     kInvalid,
                     {"[2, 9]", "[N, 8]"}},
        RequestFault{"OneDimensionMore",
                     [](auto& r) { r.mutable_features()->add_shape(1); },
                     kInvalid,
                     {"[2, 8, 1]"}},
        RequestFault{"NoRows",
                     [](auto& r) { r.mutable_features()->set_shape(0, 0); },
                     kInvalid,
                     {"[0, 8]", "N from 1 to 256"}},
        RequestFault{"NegativeRows",
                     [](auto& r) { r.mutable_features()->set_shape(0, -1); },
                     kInvalid,
                     {"[-1, 8]"}},
        RequestFault{"TooManyRows",
                     [](auto& r) { r.mutable_features()->set_shape(0, 257); },
                     kInvalid,
                     {"257 rows", "256"}},
        RequestFault{"RowsThatWouldOverflow",
                     [](auto& r) {
                       r.mutable_features()->set_shape(0, std::numeric_limits<int64_t>::max());
                     },
                     kInvalid,
                     {"256"}},
        RequestFault{"TooShort",
                     [](auto& r) { r.mutable_features()->mutable_data()->pop_back(); },
                     kInvalid,
                     {"63 bytes", "needs 64"}},
        RequestFault{"TooLong",
                     [](auto& r) { r.mutable_features()->mutable_data()->push_back('\0'); },
                     kInvalid,
                     {"65 bytes", "needs 64"}},
        RequestFault{"LengthOfAnotherDType",
                     [](auto& r) { r.mutable_features()->set_dtype(v1::FP16); },
                     kInvalid,
                     {"64 bytes", "FP16 needs 32"}}),
    [](const auto& param_info) { return param_info.param.name; });

struct ValueFault {
  std::string name;
  v1::DType dtype;
  std::string bytes;  // of one element, little-endian
  std::string says;
};

class ValueFaultTest : public ::testing::TestWithParam<ValueFault> {};

TEST_P(ValueFaultTest, IsRefusedWithItsPlace) {
  v1::ScoreRequest request = SoundRequest(GetParam().dtype);
  const size_t element = GetParam().bytes.size();
  request.mutable_features()->mutable_data()->replace((kSampleWidth + 5) * element, element,
                                                      GetParam().bytes);
  ASSERT_THAT(CheckRequest(request, SampleSpec()), IsOk());
  std::vector<float> values(2 * kSampleWidth);
  EXPECT_THAT(ReadFeatures(request.features(), values),
              StatusIs(kInvalid, AllOf(HasSubstr(GetParam().says), HasSubstr("element 5 of row 1"),
                                       HasSubstr("finite"))));
}

std::string Fp32Bytes(float value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof value);
}

INSTANTIATE_TEST_SUITE_P(
    Table, ValueFaultTest,
    ::testing::Values(ValueFault{"NaN", v1::FP32, Fp32Bytes(kNaN), "nan"},
                      ValueFault{"Infinity", v1::FP32, Fp32Bytes(kInfinity), "inf"},
                      ValueFault{"MinusInfinity", v1::FP32, Fp32Bytes(-kInfinity), "-inf"},
                      ValueFault{"Fp16NaN", v1::FP16, std::string("\x01\x7e", 2), "nan"},
                      ValueFault{"Fp16Infinity", v1::FP16, std::string("\x00\x7c", 2), "inf"},
                      ValueFault{"Bf16Infinity", v1::BF16, std::string("\x80\xff", 2), "-inf"}),
    [](const auto& param_info) { return param_info.param.name; });

TEST(WriteRequestTest, RefusesWhatTheTypeCannotHold) {
  const auto features = testing::SampleFeaturesWith(3, 70000.0F);
  v1::ScoreRequest request;
  EXPECT_THAT(WriteRequest({features, {0}}, SampleSpec(), v1::FP16, request),
              StatusIs(kInvalid, AllOf(HasSubstr("70000"), HasSubstr("FP16"))));
}

TEST(WriteRequestTest, RefusesBatchesThatNoExpertTakes) {
  v1::ScoreRequest request;
  const auto features = SampleFeatures(2);
  const ExpertSpec spec = SampleSpec();
  EXPECT_THAT(WriteRequest({features, {}}, spec, v1::FP32, request),
              StatusIs(kInvalid, HasSubstr("0 rows; 1 to 256")));
  EXPECT_THAT(WriteRequest({features, std::vector<size_t>(257, 0)}, spec, v1::FP32, request),
              StatusIs(kInvalid, HasSubstr("257 rows")));
  EXPECT_THAT(WriteRequest({features, {2}}, spec, v1::FP32, request),
              StatusIs(kInvalid, HasSubstr("row 2 of a batch of 2")));
  EXPECT_THAT(WriteRequest({features, {0}}, spec, v1::UINT8, request),
              StatusIs(kInvalid, HasSubstr("UINT8")));
  ExpertSpec wider = spec;
  wider.row_shape = {9};
  EXPECT_THAT(WriteRequest({features, {0}}, wider, v1::FP32, request),
              StatusIs(kInvalid, AllOf(HasSubstr("rows of [8]"), HasSubstr("reads POOLED [9]"))));
}

ExpertSpec PictureSpec() {
  ExpertSpec spec = SampleSpec();
  spec.kind = core::FeatureKind::kImage;
  spec.row_shape = {2, 2, 3};
  return spec;
}

TEST(PicturesTest, TravelAsTheirPixels) {
  const ExpertSpec spec = PictureSpec();
  std::vector<std::uint8_t> pixels;
  for (int i = 0; i < 24; ++i) pixels.push_back(static_cast<std::uint8_t>(10 * i + 3));
  const auto view = std::make_shared<const core::View>(
      std::make_shared<const core::ViewSpec>(spec.View()), pixels);
  v1::ScoreRequest request;
  ASSERT_THAT(WriteRequest({view, {1, 0}}, spec, v1::FP32, request), IsOk());
  EXPECT_EQ(request.features().kind(), v1::IMAGE);
  EXPECT_EQ(request.features().dtype(), v1::UINT8);
  EXPECT_THAT(request.features().shape(), ElementsAre(2, 2, 2, 3));
  EXPECT_EQ(request.features().data().size(), 24U);
  ASSERT_THAT(CheckRequest(request, spec), testing::IsOkAndHolds(2));
  std::vector<float> want(pixels.begin() + 12, pixels.end());
  want.insert(want.end(), pixels.begin(), pixels.begin() + 12);
  std::vector<float> got(24);
  ASSERT_THAT(ReadFeatures(request.features(), got), IsOk());
  EXPECT_EQ(got, want);
  EXPECT_LT(MaxRequestBytes(spec), MaxRequestBytes(SampleSpec()) + kMaxRows * 12);

  request.mutable_features()->set_dtype(v1::FP32);
  EXPECT_THAT(CheckRequest(request, spec),
              StatusIs(kInvalid, HasSubstr("experts read pictures as UINT8")));
  request.mutable_features()->set_dtype(v1::UINT8);
  request.set_encoder_fingerprint("fedcba9876543210");
  EXPECT_THAT(CheckRequest(request, spec),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("pictures were framed and resized as \"fedcba9876543210\"")));
}

TEST(WriteRequestTest, WithoutMemoryForTheRowsIsRefusedAndNotThrown) {
  const SubBatch batch = WholeBatch(SampleFeatures(200));
  v1::ScoreRequest request;
  const ShortMemory memory(200 * kSampleWidth * sizeof(float));
  EXPECT_THAT(WriteRequest(batch, SampleSpec(), v1::FP32, request),
              StatusIs(absl::StatusCode::kResourceExhausted, "apple: no memory"));
}

TEST(WriteRequestTest, RefusesViewsOfAnotherKindAndNone) {
  v1::ScoreRequest request;
  EXPECT_THAT(WriteRequest({SampleFeatures(1), {0}}, PictureSpec(), v1::FP32, request),
              StatusIs(kInvalid, HasSubstr("reads IMAGE [2, 2, 3]")));
  EXPECT_THAT(WriteRequest({nullptr, {0}}, SampleSpec(), v1::FP32, request),
              StatusIs(kInvalid, HasSubstr("there are none")));
}

TEST(MaxRequestBytesTest, HoldsTheLargestCall) {
  EXPECT_LE(SoundRequest(v1::FP32, kMaxRows).ByteSizeLong(), MaxRequestBytes(SampleSpec()));
}

model::ScoreBatch SoundScores(size_t rows) {
  return *SampleScores(SampleFeatures(rows)->Floats(), rows);
}

TEST(ResponseTest, CarriesItsPartOfASharedBatch) {
  const model::ScoreBatch scores = SoundScores(5);
  v1::ScoreResponse response;
  WriteResponse(scores, /*first=*/2, /*rows=*/2, "7", response);
  EXPECT_EQ(response.part_version(), "7");
  const auto read = ReadResponse(response, 2, 3);
  ASSERT_THAT(read, IsOk());
  for (size_t row = 0; row < 2; ++row) {
    const auto want = scores.Row(row + 2);
    EXPECT_THAT(read->Row(row), ::testing::ElementsAreArray(want.begin(), want.end()));
    EXPECT_EQ(read->energy[row], scores.energy[row + 2]);
  }
}

struct ResponseFault {
  std::string name;
  std::function<void(v1::ScoreResponse&)> spoil;
  std::string says;
};

class ResponseFaultTest : public ::testing::TestWithParam<ResponseFault> {};

TEST_P(ResponseFaultTest, CountsAsAFailedExpert) {
  v1::ScoreResponse response;
  WriteResponse(SoundScores(2), 0, 2, "7", response);
  GetParam().spoil(response);
  EXPECT_THAT(ReadResponse(response, 2, 3),
              StatusIs(absl::StatusCode::kInternal, HasSubstr(GetParam().says)));
}

INSTANTIATE_TEST_SUITE_P(
    Table, ResponseFaultTest,
    ::testing::Values(
        ResponseFault{"Empty", [](auto& r) { r.Clear(); }, "0 rows; 2 were asked"},
        ResponseFault{"RowTooMany", [](auto& r) { r.add_rows(); }, "3 rows; 2 were asked"},
        ResponseFault{"ClassTooMany",
                      [](auto& r) { r.mutable_rows(1)->add_log_probabilities(-1.0F); },
                      "4 classes in row 1; its domain has 3"},
        ResponseFault{"NaN", [](auto& r) { r.mutable_rows(1)->set_log_probabilities(2, kNaN); },
                      "nan for class 2 of row 1"},
        ResponseFault{"Infinity",
                      [](auto& r) { r.mutable_rows(0)->set_log_probabilities(1, kInfinity); },
                      "inf for class 1 of row 0"},
        ResponseFault{"AboveOne",
                      [](auto& r) { r.mutable_rows(0)->set_log_probabilities(0, 0.5F); },
                      "0.5 for class 0"},
        ResponseFault{"EnergyNaN", [](auto& r) { r.mutable_rows(1)->set_energy(kNaN); },
                      "energy of nan for row 1"}),
    [](const auto& param_info) { return param_info.param.name; });

TEST(ResponseTest, WithoutMemoryForTheRowsIsRefusedAndNotThrown) {
  v1::ScoreResponse response;
  WriteResponse(SoundScores(200), 0, 200, "7", response);
  const ShortMemory memory(200 * 3 * sizeof(float));
  EXPECT_THAT(ReadResponse(response, 200, 3),
              StatusIs(absl::StatusCode::kResourceExhausted, "reading the scores: no memory"));
}

TEST(ResponseTest, TakesAMaskedClass) {
  v1::ScoreResponse response;
  WriteResponse(SoundScores(1), 0, 1, "7", response);
  response.mutable_rows(0)->set_log_probabilities(0, -kInfinity);
  EXPECT_THAT(ReadResponse(response, 1, 3), IsOk());
}

}  // namespace
}  // namespace orchard::experts
