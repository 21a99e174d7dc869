#include "model/fingerprint.h"

#include <set>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace orchard::model {
namespace {

TensorMap Encoder() {
  return {{"a", Store({2}, {1, 2}, StoredType::kF32)}, {"b", Store({1}, {3}, StoredType::kF32)}};
}

v1::Preprocessing Profile() {
  v1::Preprocessing profile;
  profile.set_profile("imagenet");
  profile.set_shorter_side(256);
  profile.set_crop(224);
  for (const float value : {0.485F, 0.456F, 0.406F}) profile.add_mean(value);
  for (const float value : {0.229F, 0.224F, 0.225F}) profile.add_std(value);
  return profile;
}

TEST(FingerprintTest, IsTheSameOnEveryMachine) {
  // A change of this value orphans every trained part: it must be a decision.
  EXPECT_EQ(Fingerprint(Encoder(), Profile()), "5bab40af4ce7f706");
}

TEST(FingerprintTest, ChangesWithWhateverChangesTheFeatures) {
  std::set<std::string> seen = {Fingerprint(Encoder(), Profile())};
  const auto is_new = [&seen](const TensorMap& encoder, const v1::Preprocessing& profile) {
    return seen.insert(Fingerprint(encoder, profile)).second;
  };
  TensorMap encoder = Encoder();
  encoder["a"] = Store({2}, {1, 2.5F}, StoredType::kF32);
  EXPECT_TRUE(is_new(encoder, Profile())) << "a value";
  encoder["a"] = Store({2, 1}, {1, 2}, StoredType::kF32);
  EXPECT_TRUE(is_new(encoder, Profile())) << "a shape";
  encoder["a"] = Store({2}, {1, 2}, StoredType::kF16);
  EXPECT_TRUE(is_new(encoder, Profile())) << "a type";
  encoder = Encoder();
  auto node = encoder.extract("b");
  node.key() = "c";
  encoder.insert(std::move(node));
  EXPECT_TRUE(is_new(encoder, Profile())) << "a name";
  v1::Preprocessing profile = Profile();
  profile.set_mean(0, 0.5F);
  EXPECT_TRUE(is_new(Encoder(), profile)) << "the mean";
  profile = Profile();
  profile.set_crop(192);
  EXPECT_TRUE(is_new(Encoder(), profile)) << "the crop";
  profile = Profile();
  profile.set_framing(v1::WHOLE_PICTURE);
  EXPECT_TRUE(is_new(Encoder(), profile)) << "the framing";
}

}  // namespace
}  // namespace orchard::model
