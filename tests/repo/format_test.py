"""Every .h and .cc is as clang-format writes it (.clang-format). Its version is named, since
every version writes something else: 19 is in Debian 12 and 13."""

import shutil
import subprocess
import unittest

import tree

CLANG_FORMAT = shutil.which("clang-format-19")


def faults(root, tool=CLANG_FORMAT):
    """The first complaint of each file that is not formatted."""
    files = [str(path) for path in tree.walk(root) if path.suffix in {".h", ".cc"}]
    found = {}
    for start in range(0, len(files), 50):
        run = subprocess.run([tool, "--dry-run", "--Werror", *files[start:start + 50]], cwd=root,
                             capture_output=True, text=True, check=False)
        for line in run.stderr.splitlines():
            if ": error: " in line:
                found.setdefault(line.split(":")[0], line)
        if run.returncode != 0 and not found:
            found["clang-format"] = run.stderr.strip() or f"clang-format exited {run.returncode}"
    return list(found.values())


@unittest.skipUnless(CLANG_FORMAT, "clang-format-19 is missing: run ./dev deps")
class FormatTest(unittest.TestCase):

    def test_finds_what_is_not_formatted(self):
        style = (tree.ROOT / ".clang-format").read_text()
        with tree.planted({".clang-format": style, "moe/good.cc": "int f() { return 1; }\n",
                           "moe/bad.cc": "int  f( ){return 1;}\n",
                           "build/generated.cc": "int  f( ){return 1;}\n"}) as root:
            found = faults(root)
        self.assertEqual(len(found), 1, tree.report(found))
        self.assertIn("moe/bad.cc:1", found[0])

    def test_every_source_is_formatted(self):
        found = faults(tree.ROOT)
        self.assertFalse(found, tree.report(found + ["run: clang-format-19 -i on these"]))


if __name__ == "__main__":
    unittest.main()
