"""Every field and every value of proto/orchard/v1/ says what it is, in a comment of its own, above
it or beside it: these files are the documentation that a caller of another language has.
"""

import re
import unittest

import tree

FIELD = re.compile(r"^\s*(?:(?:repeated|optional)\s+)?(?:map<[^>]+>|[\w.]+)\s+(\w+)\s*=\s*\d+\s*"
                   r"(?:\[[^\]]*\])?\s*;")
VALUE = re.compile(r"^\s*([A-Z][A-Z0-9_]*)\s*=\s*\d+\s*;")
NOT_FIELDS = re.compile(r"^\s*(syntax|package|import|option|reserved)\b")


def undocumented(text):
    """(line number, name) of fields and enumeration values without a comment."""
    commented = False  # Whether the line above is a comment, and of nothing else.
    for number, line in enumerate(text.splitlines(), start=1):
        found = None if NOT_FIELDS.match(line) else VALUE.match(line) or FIELD.match(line)
        if found and not commented and not re.search(r";\s*//\s*\S", line):
            yield number, found[1]
        commented = bool(re.match(r"^\s*//\s*\S", line))


class UndocumentedTest(unittest.TestCase):

    def test_a_comment_above_or_beside_is_enough(self):
        self.assertEqual([], list(undocumented("""syntax = "proto3";
message Tensor {
  // Rows first.
  repeated int64 shape = 1;
  bytes data = 2;  // row-major
  map<string, int32> arguments = 3;  // for example {"hidden": 256}
}
enum Kind {
  KIND_UNSPECIFIED = 0;  // never valid
}
""")))

    def test_a_comment_belongs_to_one_field(self):
        self.assertEqual([(4, "b"), (6, "c"), (10, "e"), (13, "KIND_B")], list(undocumented("""message M {
  // About a.
  optional uint32 a = 1;
  optional uint32 b = 2;
  oneof either {
    orchard.v1.Tensor c = 3;
  }
  // Above a blank line.

  map<string, int32> e = 4 [deprecated = true];
}
enum Kind {  // words
  KIND_B = 1;
}
""")))


class RepositoryTest(unittest.TestCase):

    def test_every_field_is_documented(self):
        found = []
        for path in tree.walk(tree.ROOT):
            if path.match("proto/orchard/v1/*.proto"):
                text = (tree.ROOT / path).read_text(encoding="utf-8")
                found += [f"{path}:{number}: {name} has no comment" for number, name in
                          undocumented(text)]
        self.assertFalse(found, tree.report(found))


if __name__ == "__main__":
    unittest.main()
