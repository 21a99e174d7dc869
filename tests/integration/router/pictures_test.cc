#include "tests/testing/pictures.h"

#include <algorithm>
#include <future>
#include <map>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/integration/router/running_router.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/tiny_vit.h"

/// Experts that look at the picture: alone, among experts on features, here and elsewhere.

namespace orchard::router {
namespace {

using orchard::testing::DirectProbabilities;
using orchard::testing::IsOk;
using orchard::testing::TempDir;
using testing::RunningRouter;

constexpr size_t kEncoderEnough = 256;  // the tiny model's encoder

std::string Photo(unsigned seed = 1) {
  return orchard::testing::EncodeJpeg(orchard::testing::DrawLeaf(640, 520, seed));
}

/// A model folder's version, written once a process.
struct Folder {
  explicit Folder(bool alone) {
    model::PrepareInferenceThread();
    if (alone) {
      manifest = *orchard::testing::WriteTinyVit(dir.path());
      domain = "sign";
      return;
    }
    manifest = *orchard::testing::WriteTinyModel(dir.path());
    domain = manifest.experts(1).domain();
    manifest = *orchard::testing::LetLookAtPictures(dir.path(), domain);
  }
  TempDir dir;
  v1::ModelManifest manifest;
  std::string domain;  // of the expert on pictures
};

const Folder& Alone() {
  static const Folder folder(true);
  return folder;
}
const Folder& Mixed() {
  static const Folder folder(false);
  return folder;
}

Engine::Config Serving(const Folder& folder) {
  Engine::Config config;
  config.models = {{.version_dir = folder.dir.path()}};
  return config;
}

v1::ClassifyOptions PinnedTo(const std::string& domain, size_t top) {
  v1::ClassifyOptions options;
  options.set_domain(domain);
  options.set_top(static_cast<std::uint32_t>(top));
  return options;
}

/// By class of `domain`, given the domain.
void ExpectDirect(const v1::ClassifyResponse& answer, const Folder& folder,
                  const std::string& picture, size_t enough) {
  const auto want = DirectProbabilities(folder.dir.path(), folder.domain, picture, enough);
  ASSERT_THAT(want, IsOk());
  const int index = model::DomainIndex(folder.manifest, folder.domain);
  const auto& classes = folder.manifest.experts(index).classes();
  std::map<std::string, double> got;
  for (const auto& found : answer.predictions()) got[found.label()] = found.conditional();
  ASSERT_EQ(got.size(), static_cast<size_t>(classes.size()));
  for (int c = 0; c < classes.size(); ++c) {
    EXPECT_NEAR(got[classes[c]], (*want)[static_cast<size_t>(c)], 1e-5) << classes[c];
  }
}

TEST(PicturesTest, AModelOfOneExpertAnswersAsItsNetworkDoes) {
  RunningRouter router(Serving(Alone()));
  std::vector<double> first;
  for (unsigned seed = 0; seed < 4; ++seed) {
    const std::string photo = Photo(seed);
    v1::ClassifyOptions options;
    options.set_top(5);
    const auto answer = router.Classify(photo, options);
    ASSERT_THAT(answer, IsOk());
    ExpectDirect(*answer, Alone(), photo, orchard::testing::kTinyVitSide);
    EXPECT_EQ(answer->model_version(), "vit/1");
    EXPECT_EQ(answer->outcome(), v1::OK);
    EXPECT_TRUE(answer->exact());
    EXPECT_DOUBLE_EQ(answer->coverage(), 1.0);
    EXPECT_EQ(answer->routing().branch(), "sign");
    ASSERT_EQ(answer->routing().domains_size(), 1);
    EXPECT_DOUBLE_EQ(answer->routing().domains(0).probability(), 1.0);
    first.push_back(answer->predictions(0).probability());
  }
  EXPECT_GT(*std::ranges::max_element(first) - *std::ranges::min_element(first), 1e-4)
      << "it says the same of all pictures, so this test proves nothing";
}

TEST(PicturesTest, AnExpertAmongOthersLooksAtThePictureThatTheEncoderSaw) {
  RunningRouter router(Serving(Mixed()));
  const std::string photo = Photo();
  const auto answer = router.Classify(photo, PinnedTo(Mixed().domain, 2));
  ASSERT_THAT(answer, IsOk());
  EXPECT_FALSE(answer->degraded());
  ExpectDirect(*answer, Mixed(), photo, kEncoderEnough);
}

TEST(PicturesTest, OtherDomainsAnswerAsWithoutIt) {
  RunningRouter plain;
  RunningRouter router(Serving(Mixed()));
  const std::string other = Mixed().manifest.experts(0).domain();
  const auto before = plain.Classify(Photo(), PinnedTo(other, 3));
  const auto now = router.Classify(Photo(), PinnedTo(other, 3));
  ASSERT_THAT(before, IsOk());
  ASSERT_THAT(now, IsOk());
  ASSERT_EQ(now->predictions_size(), before->predictions_size());
  for (int i = 0; i < now->predictions_size(); ++i) {
    EXPECT_EQ(now->predictions(i).label(), before->predictions(i).label());
    EXPECT_EQ(now->predictions(i).probability(), before->predictions(i).probability());
  }
}

TEST(PicturesTest, WhereThereIsNoRoomToHoldPicturesTheAnswerIsTheSame) {
  Engine::Config config = Serving(Mixed());
  config.pipeline.in_flight_bytes = 1024;  // One file is let in alone; a decoded picture is not.
  RunningRouter router(config);
  const std::string photo = Photo();
  const auto answer = router.Classify(photo, PinnedTo(Mixed().domain, 2));
  ASSERT_THAT(answer, IsOk());
  ExpectDirect(*answer, Mixed(), photo, kEncoderEnough);
}

TEST(PicturesTest, AnAnswerHardlyDependsOnWhoSharedTheBatch) {
  Engine::Config config = Serving(Alone());
  config.pipeline.decode_workers = 2;
  RunningRouter router(config);
  std::vector<std::future<absl::StatusOr<v1::ClassifyResponse>>> together;
  v1::ClassifyOptions options;
  options.set_top(5);
  for (unsigned seed = 0; seed < 8; ++seed) {
    together.push_back(std::async(std::launch::async, [&router, &options, seed] {
      return router.Classify(Photo(seed), options);
    }));
  }
  for (unsigned seed = 0; seed < 8; ++seed) {
    const auto answer = together[seed].get();
    ASSERT_THAT(answer, IsOk());
    ExpectDirect(*answer, Alone(), Photo(seed), orchard::testing::kTinyVitSide);
  }
}

}  // namespace
}  // namespace orchard::router
