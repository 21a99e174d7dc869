#include "experts/places.h"

#include <map>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace orchard::experts {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<Place> Places(const std::string& text,
                          const std::map<std::string, HostAddresses>& names) {
  return PlacesOf(*ParseTargets(text), [&](const std::string& host) {
    const auto name = names.find(host);
    return name == names.end() ? nullptr : &name->second;
  });
}

TEST(PlacesTest, EveryAddressBehindANameAndAnAddressAsItIs) {
  EXPECT_THAT(Places("10.0.0.9:1,dns:///fruit:8011", {{"fruit", {"10.0.0.1", "fd00::1"}}}),
              ElementsAre(Place{"10.0.0.9:1", ""}, Place{"10.0.0.1:8011", "fruit:8011"},
                          Place{"[fd00::1]:8011", "fruit:8011"}));
}

TEST(PlacesTest, OnceUnderTheFirstTargetThatLeadsThere) {
  EXPECT_THAT(
      Places("dns:///a:1,dns:///b:1,10.0.0.1:1,10.0.0.1:2",
             {{"a", {"10.0.0.1"}}, {"b", {"10.0.0.1", "10.0.0.2"}}}),
      ElementsAre(Place{"10.0.0.1:1", "a:1"}, Place{"10.0.0.2:1", "b:1"}, Place{"10.0.0.1:2", ""}));
}

TEST(PlacesTest, OfANameThatIsNotKnownYetThereIsNone) {
  EXPECT_THAT(Places("dns:///a:1", {}), IsEmpty());
  EXPECT_THAT(Places("dns:///a:1", {{"a", {}}}), IsEmpty());
}

}  // namespace
}  // namespace orchard::experts
