// Pictures of every source, with their labels and sides: folders, GTSRB, CIFAR-10.
#include "training/data/picture_set.h"

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <map>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/status_matchers.h"
#include "tests/unit/training/pictures_on_disk.h"
#include "training/recipe.h"

namespace orchard::training {
namespace {

using ::orchard::testing::IsOk;
using ::orchard::testing::StatusIs;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr size_t kThreads = 2;

void Write(const std::filesystem::path& file, const std::string& bytes) {
  std::filesystem::create_directories(file.parent_path());
  ASSERT_THAT(core::WriteFile(file, bytes), IsOk());
}

v1::Recipe OneDomain(const std::string& name) {
  v1::Recipe recipe;
  v1::Domain& domain = *recipe.add_domains();
  domain.set_name(name);
  domain.set_branch("branch");
  recipe.mutable_data()->set_validation_share(0.25);
  return recipe;
}

size_t Count(const PictureSet& set, Side side) {
  return static_cast<size_t>(std::ranges::count(set.sides, side));
}

// --- Folders.

class FolderSetTest : public ::testing::Test {
 protected:
  FolderSetTest() {
    WriteTinyData(data_.path(), 8);
    WriteTinyLists(data_.path(), 8);
    recipe_ = OneDomain("leaf");
    *recipe_.add_domains() = OneDomain("plain").domains(0);
    recipe_.mutable_data()->set_test_share(0.25);
  }
  testing::TempDir data_;
  v1::Recipe recipe_;
};

TEST_F(FolderSetTest, HoldsEveryPictureWithItsLabelAndSide) {
  const auto set = ReadPictureSet(data_.path(), recipe_, kThreads);
  ASSERT_THAT(set, IsOk());
  EXPECT_EQ(set->size(), 32U);
  EXPECT_EQ(set->pictures.size(), 32U);
  EXPECT_THAT(set->skipped, IsEmpty());
  EXPECT_THAT(set->domains[1].classes, ElementsAre("blue", "red"));
  EXPECT_EQ(set->names[0], "leaf/broad/0.jpg");
  EXPECT_EQ(set->labels[31], (Label{.domain = 1, .label = 1}));
  EXPECT_EQ(set->pictures[0].width, 64U);  // As it is.
  EXPECT_EQ(Count(*set, Side::kTest), 8U);
  EXPECT_EQ(Count(*set, Side::kValidation), 8U);
}

TEST_F(FolderSetTest, PutsPicturesOnTheSidesOfMaskedMoesData) {
  const auto set = ReadPictureSet(data_.path(), recipe_, kThreads);
  const auto dataset = ReadDataset(data_.path(), recipe_);
  ASSERT_THAT(set, IsOk());
  ASSERT_THAT(dataset, IsOk());
  EXPECT_EQ(set->sides, Split(*dataset, 0.25, 0.25));
}

TEST_F(FolderSetTest, SkipsBrokenPicturesAndSaysWhichAllAtOnce) {
  Write(data_ / "leaf/broad/1.jpg", "no picture");
  Write(data_ / "plain/red/2.jpg",
        testing::EncodeJpeg(testing::DrawLeaf(64, 64, 1)).substr(0, 300));
  const auto set = ReadPictureSet(data_.path(), recipe_, kThreads);
  ASSERT_THAT(set, IsOk());
  EXPECT_EQ(set->size(), 30U);
  EXPECT_EQ(set->pictures.size(), 30U);
  ASSERT_THAT(set->skipped, SizeIs(2));
  EXPECT_THAT(set->skipped[0], HasSubstr("leaf/broad/1.jpg: "));
  EXPECT_THAT(set->skipped[1], HasSubstr("plain/red/2.jpg: "));
  // So does what Masked-MoE reads.
  const auto dataset = ReadDataset(data_.path(), recipe_);
  ASSERT_THAT(dataset, IsOk());
  EXPECT_THAT(dataset->pictures, SizeIs(30));
  EXPECT_EQ(dataset->skipped, set->skipped);
}

TEST_F(FolderSetTest, LeavesOutAndNamesAGroupWithTwoLabels) {
  const auto same = testing::DrawLeaf(64, 48, 7);
  WritePicture(data_ / "leaf/broad/0.jpg", same);
  WritePicture(data_ / "plain/red/1.jpg", same);
  const auto set = ReadPictureSet(data_.path(), recipe_, kThreads);
  ASSERT_THAT(set, IsOk());
  EXPECT_EQ(set->size(), 30U);
  EXPECT_THAT(set->skipped, ElementsAre(HasSubstr("leaf/broad, plain/red")));
  for (size_t i = 0; i < set->size(); ++i) {  // Pixels, names and labels have moved together.
    EXPECT_NE(set->names[i], "leaf/broad/0.jpg");
    EXPECT_EQ(set->names[i].starts_with("leaf/broad/"), (set->labels[i] == Label{}));
    EXPECT_EQ(set->pictures[i].height, set->names[i].starts_with("leaf/broad/")    ? 48U
                                       : set->names[i].starts_with("leaf/narrow/") ? 80U
                                                                                   : 64U);
  }
}

TEST_F(FolderSetTest, RefusesAnEmptyClassFolder) {
  std::filesystem::create_directories(data_ / "leaf/thorny");
  std::filesystem::create_directories(data_ / "plain/void");
  EXPECT_THAT(ReadPictureSet(data_.path(), recipe_, kThreads).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("leaf/thorny, plain/void")));
}

TEST_F(FolderSetTest, GoesOnWithTheSidesThatWereWritten) {
  auto set = ReadPictureSet(data_.path(), recipe_, kThreads);
  ASSERT_THAT(set, IsOk());
  ASSERT_THAT(WriteSplit(data_ / "split.tsv", *set), IsOk());
  std::map<std::string, Side> before;
  for (size_t i = 0; i < set->size(); ++i) before[set->names[i]] = set->sides[i];
  // A picture comes that would move others.
  WritePicture(data_ / "leaf/broad/8.jpg", testing::DrawLeaf(64, 48, 99));
  Write(data_ / "leaf.tsv", *core::ReadFile(data_ / "leaf.tsv") + "broad\t8\tbroad8\n");
  auto more = ReadPictureSet(data_.path(), recipe_, kThreads);
  ASSERT_THAT(more, IsOk());
  EXPECT_EQ(more->size(), 33U);
  size_t left_out = 0;
  ASSERT_THAT(TakeSplit(data_ / "split.tsv", *more, left_out), IsOk());
  EXPECT_EQ(left_out, 1U);
  EXPECT_EQ(more->size(), 32U);
  EXPECT_EQ(more->pictures.size(), 32U);
  for (size_t i = 0; i < more->size(); ++i) EXPECT_EQ(more->sides[i], before[more->names[i]]);
  EXPECT_EQ(more->contents, set->contents);
  // One that is gone is no affair of ours to mend.
  std::filesystem::remove(data_ / "plain/red/3.jpg");
  auto fewer = ReadPictureSet(data_.path(), recipe_, kThreads);
  ASSERT_THAT(fewer, IsOk());
  EXPECT_THAT(TakeSplit(data_ / "split.tsv", *fewer, left_out),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("plain/red/3.jpg")));
}

TEST_F(FolderSetTest, NamesMayHoldWhatEndsACellOrALineOfTheSplit) {
  auto set = ReadPictureSet(data_.path(), recipe_, kThreads);
  ASSERT_THAT(set, IsOk());
  set->names[0] = "leaf/broad/tab\tline\nreturn\r\\n.jpg";
  set->groups[0] = "leaf:a\tb";
  ASSERT_THAT(WriteSplit(data_ / "split.tsv", *set), IsOk());
  size_t left_out = 1;
  EXPECT_THAT(TakeSplit(data_ / "split.tsv", *set, left_out), IsOk());
  EXPECT_EQ(left_out, 0U);
}

TEST_F(FolderSetTest, FitsPicturesAsServingDoes) {
  const auto set = ReadPictureSet(data_.path(), recipe_, kThreads);
  ASSERT_THAT(set, IsOk());
  const vision::Profile profile{
      .shorter_side = 32, .crop = 32, .framing = vision::Framing::kWholePicture};
  const std::vector<size_t> some = {3, 20};
  const auto pixels = FitPictures(set->pictures, some, profile, kThreads);
  ASSERT_THAT(pixels, IsOk());
  EXPECT_THAT(pixels->sizes(), ElementsAre(2, 32, 32, 3));
  const auto served = DecodeForServing({data_ / "leaf/broad/3.jpg"}, profile, 1);
  ASSERT_THAT(served, IsOk());
  EXPECT_TRUE((*pixels)[0].equal((*served)[0]));
}

// --- GTSRB.

constexpr const char* kHead = "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId\n";

/// Two classes of four tracks with three frames each, and four test pictures; as published, but for
/// the number of pictures.
class GtsrbSetTest : public ::testing::Test {
 protected:
  GtsrbSetTest() : recipe_(OneDomain("traffic_sign")) {
    recipe_.mutable_domains(0)->mutable_gtsrb();
    for (const size_t id : {9U, 14U}) {
      std::string list = kHead;
      for (size_t t = 0; t < 4; ++t) {
        for (size_t f = 0; f < 3; ++f) AddFrame(id, t, f, list);
      }
      Write(List(id), list);
    }
    std::string list = kHead;
    for (size_t i = 0; i < 4; ++i) {
      const std::string name = absl::StrFormat("%05u.ppm", i);
      Write(data_ / "Test/Images" / name, testing::EncodePpm(testing::DrawGradient(20 + i, 24)));
      absl::StrAppend(&list, name, ";", 20 + i, ";24;4;5;14;18;", i < 2 ? 9 : 14, "\r\n");
    }
    Write(TestList(), list);
  }

  void AddFrame(size_t id, size_t track, size_t frame, std::string& list) {
    const std::string name = absl::StrFormat("%05u_%05u.ppm", track + 20, frame);
    Write(Folder(id) / name,
          testing::EncodePpm(testing::DrawLeaf(30, 40, 100 * id + 10 * track + frame)));
    absl::StrAppend(&list, name, ";30;40;10;10;19;29;", id, "\n");
  }

  std::filesystem::path Folder(size_t id) const {
    return data_ / "Training" / absl::StrFormat("%05u", id);
  }
  std::filesystem::path List(size_t id) const {
    return Folder(id) / absl::StrFormat("GT-%05u.csv", id);
  }
  std::filesystem::path TestList() const { return data_ / "Test/GT-final_test.csv"; }
  v1::Gtsrb& gtsrb() { return *recipe_.mutable_domains(0)->mutable_gtsrb(); }
  absl::StatusOr<PictureSet> Read() { return ReadPictureSet(data_.path(), recipe_, kThreads); }

  testing::TempDir data_;
  v1::Recipe recipe_;
};

TEST_F(GtsrbSetTest, ReadsWhatTheListsName) {
  const auto set = Read();
  ASSERT_THAT(set, IsOk());
  EXPECT_THAT(set->skipped, IsEmpty());
  EXPECT_EQ(set->size(), 28U);
  EXPECT_THAT(set->domains[0].classes, ElementsAre("00009", "00014"));
  EXPECT_EQ(set->names[0], "Training/00009/00020_00000.ppm");
  EXPECT_EQ(set->pictures[0].width, 30U);
  EXPECT_EQ(set->pictures[0].height, 40U);
  EXPECT_EQ(set->names[27], "Test/Images/00003.ppm");
  EXPECT_EQ(set->labels[27].label, 1U);
  EXPECT_EQ(Count(*set, Side::kTest), 4U);
}

TEST_F(GtsrbSetTest, KeepsATrackOnOneSide) {
  const auto set = Read();
  ASSERT_THAT(set, IsOk());
  EXPECT_EQ(Count(*set, Side::kValidation), 6U);  // A track of each class.
  std::map<std::string, std::set<Side>> sides;
  for (size_t i = 0; i < 24; ++i) sides[set->names[i].substr(0, 20)].insert(set->sides[i]);
  EXPECT_THAT(sides, SizeIs(8));
  for (const auto& [track, of] : sides) EXPECT_THAT(of, SizeIs(1)) << track;
}

TEST_F(GtsrbSetTest, CallsClassesByTheirNamesWhereAListHasThem) {
  Write(data_ / "classes.tsv", "class\tname\n9\tNo passing\n14\tStop\n15\tNo vehicles\n");
  const auto set = Read();
  ASSERT_THAT(set, IsOk());
  EXPECT_THAT(set->domains[0].classes, ElementsAre("No passing", "Stop"));
  Write(data_ / "classes.tsv", "class\tname\n9\tNo passing\n");
  EXPECT_THAT(Read().status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("no name for class 14")));
}

TEST_F(GtsrbSetTest, CutsTheSignOutWithItsMarginAndSqueezesIt) {
  gtsrb().set_roi_margin(0.0);
  auto set = Read();
  ASSERT_THAT(set, IsOk());
  EXPECT_EQ(set->pictures[0].width, 10U);
  EXPECT_EQ(set->pictures[0].height, 20U);
  // The gradient tells where the pixels were: red grows to the right, green downwards.
  const vision::Image whole = testing::DrawGradient(20, 24);
  EXPECT_THAT(set->pictures[24].width, 11U);
  EXPECT_EQ(set->pictures[24].rgb[0], whole.rgb[(5 * 20 + 4) * 3]);
  EXPECT_EQ(set->pictures[24].rgb[1], whole.rgb[(5 * 20 + 4) * 3 + 1]);
  gtsrb().set_roi_margin(0.1);
  set = Read();
  ASSERT_THAT(set, IsOk());
  EXPECT_EQ(set->pictures[0].width, 12U);
  EXPECT_EQ(set->pictures[0].height, 24U);
  gtsrb().set_side(16);
  set = Read();
  ASSERT_THAT(set, IsOk());
  EXPECT_EQ(set->pictures[0].width, 16U);
  EXPECT_EQ(set->pictures[0].height, 16U);
  gtsrb().clear_roi_margin();
  set = Read();
  ASSERT_THAT(set, IsOk());
  EXPECT_EQ(set->pictures[27].width, 16U);
}

TEST_F(GtsrbSetTest, KeepsTheTwoTracksOfOneSignTogether) {
  std::string list = *core::ReadFile(List(9));
  AddFrame(9, 19, 0, list);  // 00039 and 00040
  AddFrame(9, 20, 0, list);
  Write(List(9), list);
  const auto set = Read();
  ASSERT_THAT(set, IsOk());
  const auto group = [&](const std::string& name) {
    return set
        ->groups[static_cast<size_t>(std::ranges::find(set->names, name) - set->names.begin())];
  };
  EXPECT_EQ(group("Training/00009/00039_00000.ppm"), group("Training/00009/00040_00000.ppm"));
  EXPECT_NE(group("Training/00009/00039_00000.ppm"), group("Training/00009/00020_00000.ppm"));
}

TEST_F(GtsrbSetTest, LeavesOutTheTracksThatTheRecipeExcludes) {
  gtsrb().add_exclude_tracks("00014/00023");
  const auto set = Read();
  ASSERT_THAT(set, IsOk());
  EXPECT_EQ(set->size(), 25U);
  EXPECT_THAT(set->names, Each(::testing::Not(HasSubstr("00014/00023"))));
  EXPECT_THAT(set->skipped, ElementsAre(HasSubstr("00014/00023, as the recipe says: 3 pictures")));
  gtsrb().add_exclude_tracks("14/23");
  EXPECT_THAT(Read().status(), StatusIs(absl::StatusCode::kInvalidArgument,
                                        HasSubstr("there is no track \"14/23\"")));
}

TEST_F(GtsrbSetTest, SkipsBrokenAndMissingPictures) {
  Write(Folder(9) / "00021_00001.ppm", "P6\n30 40\n255\ncut short");
  std::filesystem::remove(data_ / "Test/Images/00002.ppm");
  const auto set = Read();
  ASSERT_THAT(set, IsOk());
  EXPECT_EQ(set->size(), 26U);
  EXPECT_THAT(set->skipped, ElementsAre(AllOf(HasSubstr("00021_00001.ppm"), HasSubstr("truncated")),
                                        HasSubstr("Test/Images/00002.ppm: can't be read")));
}

TEST_F(GtsrbSetTest, SaysFileAndLineOfEveryWrongRow) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"00020_00000.ppm;30;40;10;10;19;9", "line 14: has 7 cells, the head line 8"},
      {"00020_00000.ppm;30;40;ten;10;19;29;9", "line 14: Roi.X1 is \"ten\""},
      {"00020_00000.ppm;30;40;10;10;30;29;9", "line 14: ROI (10, 10) to (30, 29) is no part of 30"},
      {"00020_00000.ppm;30;40;10;10;19;29;14", "line 14: ClassId is 14 in the folder of class 9"},
      {"20.ppm;30;40;10;10;19;29;9", "line 14: Filename \"20.ppm\" has no track"},
      {"../../x_00000.ppm;30;40;10;10;19;29;9", "is no file's name"},
  };
  const std::string sound = *core::ReadFile(List(9));
  std::string all = sound;
  for (const auto& [row, fault] : cases) {
    Write(List(9), sound + row + "\n");
    EXPECT_THAT(Read().status(),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr("GT-00009.csv, line 14"), HasSubstr(fault))));
    all += row + "\n";
  }
  Write(List(9), all);
  const std::string message(Read().status().message());
  EXPECT_THAT(message, AllOf(HasSubstr("line 14"), HasSubstr("line 19")));
  Write(List(9), sound);
  Write(TestList(), std::string(kHead) + "00000.ppm;20;24;4;5;14;18;77\n");
  EXPECT_THAT(Read().status(), StatusIs(absl::StatusCode::kInvalidArgument,
                                        HasSubstr("ClassId is 77, of which there is no folder")));
}

TEST_F(GtsrbSetTest, SaysThatAListIsMissingOrAnotherTable) {
  Write(List(9), "Filename,Width\n");
  EXPECT_THAT(Read().status(), StatusIs(absl::StatusCode::kInvalidArgument,
                                        AllOf(HasSubstr("GT-00009.csv"), HasSubstr("Roi.X1"))));
  std::filesystem::remove(List(9));
  EXPECT_THAT(Read().status(), StatusIs(absl::StatusCode::kNotFound, HasSubstr("GT-00009.csv")));
}

// --- CIFAR-10.

/// Records of 3,073 bytes; pixel values tell picture and plane.
std::string Records(size_t count, size_t first) {
  std::string bytes;
  for (size_t i = first; i < first + count; ++i) {
    bytes += static_cast<char>(i % 2);
    for (size_t c = 0; c < 3; ++c) bytes += std::string(1024, static_cast<char>(100 * c + i));
  }
  return bytes;
}

class Cifar10SetTest : public ::testing::Test {
 protected:
  Cifar10SetTest() : recipe_(OneDomain("object")) {
    recipe_.mutable_domains(0)->mutable_cifar10();
    Write(data_ / "batches.meta.txt", "airplane\ntruck\n\n");
    for (size_t b = 0; b < 5; ++b) {
      Write(data_ / absl::StrCat("data_batch_", b + 1, ".bin"), Records(4, 4 * b));
    }
    Write(data_ / "test_batch.bin", Records(3, 50));
  }
  v1::Cifar10& cifar() { return *recipe_.mutable_domains(0)->mutable_cifar10(); }
  absl::StatusOr<PictureSet> Read() { return ReadPictureSet(data_.path(), recipe_, kThreads); }

  testing::TempDir data_;
  v1::Recipe recipe_;
};

TEST_F(Cifar10SetTest, ReadsTheBinaryForm) {
  cifar().set_validation_batch(5);
  const auto set = Read();
  ASSERT_THAT(set, IsOk());
  EXPECT_EQ(set->size(), 23U);
  EXPECT_THAT(set->domains[0].classes, ElementsAre("airplane", "truck"));
  EXPECT_EQ(set->names[5], "data_batch_2.bin#1");
  EXPECT_EQ(set->labels[5].label, 1U);
  EXPECT_EQ(set->pictures[5].width, 32U);
  EXPECT_THAT(std::vector<int>(set->pictures[5].rgb.end() - 3, set->pictures[5].rgb.end()),
              ElementsAre(5, 105, 205));
  EXPECT_EQ(Count(*set, Side::kTrain), 16U);
  EXPECT_EQ(set->sides[16], Side::kValidation);
  EXPECT_EQ(set->sides[20], Side::kTest);
}

TEST_F(Cifar10SetTest, ValidatesOnAShareOfEachClassOtherwise) {
  const auto set = Read();
  ASSERT_THAT(set, IsOk());
  EXPECT_EQ(Count(*set, Side::kTest), 3U);
  EXPECT_EQ(Count(*set, Side::kValidation), 6U);  // A quarter of ten, rounded, of each class.
}

TEST_F(Cifar10SetTest, TestsOnTheFileOrFolderThatTheRecipeNames) {
  Write(data_ / "test1000.bin", Records(1, 90));
  cifar().set_test("test1000.bin");
  auto set = Read();
  ASSERT_THAT(set, IsOk());
  EXPECT_EQ(Count(*set, Side::kTest), 1U);
  WritePicture(data_ / "test/airplane/0000.jpg", testing::DrawLeaf(32, 32, 1));
  WritePicture(data_ / "test/truck/0000.jpg", testing::DrawLeaf(32, 32, 2));
  Write(data_ / "test/truck/0001.jpg", "broken");
  cifar().set_test("test");
  set = Read();
  ASSERT_THAT(set, IsOk());
  EXPECT_EQ(Count(*set, Side::kTest), 2U);
  EXPECT_THAT(set->names, Contains("test/truck/0000.jpg"));
  EXPECT_THAT(set->skipped, ElementsAre(HasSubstr("test/truck/0001.jpg")));
  cifar().set_test("tset");
  EXPECT_THAT(Read().status(), StatusIs(absl::StatusCode::kNotFound, HasSubstr("tset")));
}

TEST_F(Cifar10SetTest, ReadsTheSheetsAsTheyAre) {
  for (size_t b = 1; b <= 5; ++b) {
    std::filesystem::remove(data_ / absl::StrCat("data_batch_", b, ".bin"));
  }
  std::string labels;
  for (size_t i = 0; i < 5000; ++i) labels += static_cast<char>(i % 2);
  Write(data_ / "train-labels.bin", labels);
  const vision::Image sheet = testing::DrawGradient(1280, 800);
  for (size_t i = 0; i < 5; ++i) {
    Write(data_ / absl::StrFormat("train/%02u.jpg", i),
          testing::EncodePng(i == 3 ? testing::DrawPlain(1280, 800, 9, 9, 9) : sheet));
  }
  cifar().set_validation_batch(5);
  const auto set = Read();
  ASSERT_THAT(set, IsOk());
  EXPECT_EQ(set->size(), 5003U);
  EXPECT_EQ(Count(*set, Side::kValidation), 1000U);
  EXPECT_EQ(set->sides[4000], Side::kValidation);
  EXPECT_EQ(set->names[1041], "train/01.jpg#41");
  EXPECT_EQ(set->labels[1041].label, 1U);
  // The second picture of the second row.
  const vision::Image& picture = set->pictures[1041];
  for (const size_t y : {0U, 31U}) {
    for (const size_t x : {0U, 31U}) {
      EXPECT_EQ(picture.rgb[(y * 32 + x) * 3], sheet.rgb[((32 + y) * 1280 + 32 + x) * 3]);
      EXPECT_EQ(picture.rgb[(y * 32 + x) * 3 + 1], sheet.rgb[((32 + y) * 1280 + 32 + x) * 3 + 1]);
    }
  }
  Write(data_ / "train-labels.bin", labels + "x");
  EXPECT_THAT(Read().status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("5001 bytes")));
}

TEST_F(Cifar10SetTest, SaysWhatIsWrongWithAFile) {
  Write(data_ / "data_batch_2.bin", Records(4, 4) + "x");
  EXPECT_THAT(Read().status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("data_batch_2.bin has 12293"), HasSubstr("3073"))));
  std::string labelled = Records(4, 4);
  labelled[3073] = 7;
  Write(data_ / "data_batch_2.bin", labelled);
  EXPECT_THAT(Read().status(), StatusIs(absl::StatusCode::kInvalidArgument,
                                        HasSubstr("picture 1 (counted from 0): the label is 7")));
  std::filesystem::remove(data_ / "data_batch_2.bin");
  EXPECT_THAT(Read().status(), StatusIs(absl::StatusCode::kNotFound, HasSubstr("data_batch_2")));
  std::filesystem::remove(data_ / "data_batch_1.bin");
  EXPECT_THAT(Read().status(),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("neither data_batch_1.bin")));
}

TEST(SourceStatementsTest, FindsNumbersOutsideOfTheirRange) {
  v1::Recipe recipe = OneDomain("signs");
  recipe.mutable_optimisation()->set_batch(1);
  recipe.mutable_masked_moe();
  recipe.mutable_domains(0)->mutable_expert()->mutable_linear();
  EXPECT_THAT(Faults(recipe), IsEmpty());
  recipe.mutable_domains(0)->mutable_gtsrb()->set_roi_margin(-0.5);
  recipe.mutable_domains(0)->mutable_gtsrb()->set_side(5000);
  EXPECT_THAT(Faults(recipe),
              ElementsAre(HasSubstr("signs.gtsrb.roi_margin is -0.5"),
                          HasSubstr("signs.gtsrb.side is 5000"), HasSubstr("folders")));
  recipe.mutable_domains(0)->mutable_cifar10()->set_validation_batch(6);
  EXPECT_THAT(Faults(recipe), ElementsAre(HasSubstr("validation_batch is 6, must be at most 5"),
                                          HasSubstr("folders")));
}

}  // namespace
}  // namespace orchard::training
