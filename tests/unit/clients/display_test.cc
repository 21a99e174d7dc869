#include "clients/cpp/display.h"

#include <gtest/gtest.h>

namespace orchard::client {
namespace {

TEST(DisplayWidthTest, CountsColumnsAndNotBytes) {
  EXPECT_EQ(DisplayWidth(""), 0u);
  EXPECT_EQ(DisplayWidth("apple"), 5u);
  EXPECT_EQ(DisplayWidth("Äpfel"), 5u);
  EXPECT_EQ(DisplayWidth("A\xcc\x88pfel"), 5u);  // A and a combining diaeresis, as macOS writes it
  EXPECT_EQ(DisplayWidth("林檎"), 4u);
  EXPECT_EQ(DisplayWidth("사과"), 4u);
  EXPECT_EQ(DisplayWidth("\xf0\x9f\x8d\x8e"), 2u);  // an apple
  EXPECT_EQ(DisplayWidth("กล้วย"), 4u);              // a tone mark above
  EXPECT_EQ(DisplayWidth("\xef\xbc\xa1"), 2u);      // a full-width A
  EXPECT_EQ(DisplayWidth("\xf0\xa0\x80\x80"), 2u);  // of the second plane of ideographs
  EXPECT_EQ(DisplayWidth("\xe2\x80\x8b"), 0u);      // a space of no width
  EXPECT_EQ(DisplayWidth("\xce\xb1\xd0\xb4\xe2\x82\xac"), 3u);
}

TEST(PadToTest, FillsColumnsWithSpaces) {
  EXPECT_EQ(PadTo("林檎", 6), "林檎  ");
  EXPECT_EQ(PadTo("apple", 6), "apple ");
  EXPECT_EQ(PadTo("strawberry", 6), "strawberry");
}

}  // namespace
}  // namespace orchard::client
