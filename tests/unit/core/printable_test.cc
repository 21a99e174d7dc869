#include "core/printable.h"

#include <gtest/gtest.h>

namespace orchard::core {
namespace {

struct ShownCase {
  std::string text;
  std::string shown;
};

TEST(PrintableTest, ShowsWhatATerminalWouldObey) {
  const ShownCase cases[] = {
      {"a b.jpg", "a b.jpg"},
      {"Äpfel 林檎.jpg", "Äpfel 林檎.jpg"},
      {"a\\b.jpg", "a\\b.jpg"},
      {"a\nb.jpg", "a\\nb.jpg"},
      {"a\r\tb", "a\\r\\tb"},
      {"c\x1b[31md.jpg", "c\\x1b[31md.jpg"},
      {std::string("a\0b", 3), "a\\x00b"},
      {"a\x7f", "a\\x7f"},
      {"a\xc2\x9b"
       "31m",
       "a\\u009b31m"},                                   // CSI as one character
      {"x\xe2\x80\xaegpj.exe", "x\\u202egpj.exe"},       // written from the right
      {"a\xe2\x80\xa8z", "a\\u2028z"},                   // a line's end of its own
      {"\xff\xfe.jpg", "\\xff\\xfe.jpg"},                // Latin-1 and other bytes
      {"\xe4pfel", "\\xe4pfel"},                         // cut short by an ASCII letter
      {"a\xe6\x9e", "a\\xe6\\x9e"},                      // cut short by the end
      {"\xc0\xaf", "\\xc0\\xaf"},                        // overlong
      {"\xed\xa0\x80", "\\xed\\xa0\\x80"},               // half of a pair
      {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"},      // behind the last character
      {"\xf0\x9f\x8d\x8e.jpg", "\xf0\x9f\x8d\x8e.jpg"},  // an apple
  };
  for (const ShownCase& c : cases) {
    EXPECT_EQ(Printable(c.text), c.shown);
    EXPECT_EQ(Printable(c.shown), c.shown) << "once is enough";
  }
}

}  // namespace
}  // namespace orchard::core
