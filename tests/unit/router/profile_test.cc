#include "router/profile.h"

#include <gtest/gtest.h>

namespace orchard::router {
namespace {

TEST(ProfileOfTest, TakesSizesAndFraming) {
  v1::Preprocessing preprocessing;
  preprocessing.set_shorter_side(256);
  preprocessing.set_crop(224);
  EXPECT_EQ(ProfileOf(preprocessing).shorter_side, 256U);
  EXPECT_EQ(ProfileOf(preprocessing).crop, 224U);
  EXPECT_EQ(ProfileOf(preprocessing).framing, vision::Framing::kCentreCrop);
  preprocessing.set_framing(v1::WHOLE_PICTURE);
  EXPECT_EQ(ProfileOf(preprocessing).framing, vision::Framing::kWholePicture);
}

}  // namespace
}  // namespace orchard::router
