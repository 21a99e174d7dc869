"""shellcheck is content with every shell script, by suffix or by its first line."""

import re
import shutil
import subprocess
import unittest

import tree

SHELLCHECK = shutil.which("shellcheck")
SHEBANG = re.compile(rb"#!.*\b(ba|da)?sh\b")


def scripts(root):
    """Shell scripts of a tree, relative to it."""
    found = []
    for path in tree.walk(root):
        with open(root / path, "rb") as file:
            if path.suffix == ".sh" or SHEBANG.match(file.readline(200)):
                found.append(path)
    return found


def faults(root):
    """What shellcheck says, one line each, and scripts that can't be started."""
    files = scripts(root)
    if not files:
        return []
    run = subprocess.run([SHELLCHECK, "--format=gcc", "--external-sources", *map(str, files)],
                         cwd=root, capture_output=True, text=True, check=False)
    found = run.stdout.splitlines()
    if run.returncode != 0 and not found:
        found = [run.stderr.strip() or f"shellcheck exited {run.returncode}"]
    return found


class ScriptsTest(unittest.TestCase):

    def test_finds_scripts_by_suffix_and_by_first_line(self):
        with tree.planted({"dev": "#!/usr/bin/env bash\n", ".ci/run": "#!/bin/sh\n",
                           "tools/x.sh": "true\n", "tools/y.py": "#!/usr/bin/env python3\n",
                           "README.md": "bash\n", "empty": ""}) as root:
            self.assertEqual([str(path) for path in scripts(root)], [".ci/run", "dev", "tools/x.sh"])

    def test_the_doors_are_executable(self):
        for name in ("dev", ".ci/run"):
            path = tree.ROOT / name
            if path.exists():
                self.assertTrue(path.stat().st_mode & 0o111, f"{name}: run chmod +x {name}")


@unittest.skipUnless(SHELLCHECK, "shellcheck is missing: run ./dev deps")
class ShellcheckTest(unittest.TestCase):

    def test_finds_a_fault(self):
        with tree.planted({"tools/bad.sh": "#!/bin/bash\nrm $1\n",
                           "tools/good.sh": '#!/bin/bash\nrm -- "$1"\n'}) as root:
            found = faults(root)
        self.assertEqual(len(found), 1, tree.report(found))
        self.assertIn("SC2086", found[0])

    def test_every_script_is_clean(self):
        found = faults(tree.ROOT)
        self.assertFalse(found, tree.report(found))


if __name__ == "__main__":
    unittest.main()
