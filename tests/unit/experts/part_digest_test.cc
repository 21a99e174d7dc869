#include "experts/part_digest.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace orchard::experts {
namespace {

using Names = std::vector<std::string>;
constexpr core::FeatureKind kPooled = core::FeatureKind::kPooled;

const std::string kOurs =
    PartDigest("fruit", Names{"apple", "maize"}, Names{"apple", "corn"}, kPooled);

TEST(PartDigestTest, IsSixteenHexDigitsAndTheSameEveryTime) {
  EXPECT_EQ(kOurs.size(), 16U);
  EXPECT_EQ(kOurs.find_first_not_of("0123456789abcdef"), std::string::npos);
  EXPECT_EQ(PartDigest("fruit", Names{"apple", "maize"}, Names{"apple", "corn"}, kPooled), kOurs);
}

TEST(PartDigestTest, TellsEverythingApartThatChangesWhatAnAnswerMeans) {
  EXPECT_NE(PartDigest("vegetable", Names{"apple", "maize"}, Names{"apple", "corn"}, kPooled),
            kOurs);
  EXPECT_NE(PartDigest("fruit", Names{"maize", "apple"}, Names{"corn", "apple"}, kPooled), kOurs);
  EXPECT_NE(PartDigest("fruit", Names{"apple", "maize"}, Names{"apple", "maize"}, kPooled), kOurs);
  EXPECT_NE(
      PartDigest("fruit", Names{"apple", "maize"}, Names{"apple", "corn"}, core::FeatureKind::kMap),
      kOurs);
  EXPECT_NE(PartDigest("fruit", Names{"applemaize"}, Names{"applecorn"}, kPooled), kOurs);
  EXPECT_NE(PartDigest("fruit", Names{"apple"}, Names{"apple"}, kPooled), kOurs);
}

}  // namespace
}  // namespace orchard::experts
