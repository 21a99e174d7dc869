"""What may be committed: no large files outside models/, and nothing that a build makes."""

import re
import unittest

import tree

LIMIT_MIB = 10
BUILT = re.compile(
    r"(^|/)(CMakeCache\.txt|CMakeFiles/|__pycache__/|\.ninja_(log|deps)$|compile_commands\.json$"
    r"|core\.\d+$)|\.(o|obj|a|so|so\.[\d.]+|pyc|gcda|gcno|exe|pb\.(h|cc)|part|ckpt|whl)$"
    r"|^(build|install)/")


def faults(root):
    """Files that don't belong into the repository."""
    found = []
    for path in tree.committed(root):
        name = path.as_posix()
        mib = (root / path).stat().st_size / 2**20
        if mib > LIMIT_MIB and path.parts[0] != "models":
            found.append(f"{name}: {mib:.1f} MiB, the limit outside models/ is {LIMIT_MIB} MiB")
        if BUILT.search(name):
            found.append(f"{name}: is made by a build or a run; remove it and add it to .gitignore")
    return found


class CheckerTest(unittest.TestCase):

    def test_finds_large_files_outside_models(self):
        large = b"\0" * (LIMIT_MIB * 2**20 + 1)
        with tree.planted({"docs/film.mp4": large, "models/default/1/encoder.safetensors": large,
                           "docs/limit.bin": large[:-1]}) as root:
            found = faults(root)
        self.assertEqual(len(found), 1, tree.report(found))
        self.assertIn("docs/film.mp4: 10.0 MiB", found[0])

    def test_finds_what_a_build_makes(self):
        built = ["moe/plan.o", "liborchard_moe.a", "CMakeCache.txt", "proto/model.pb.h",
                 "x/CMakeFiles/y.txt", "runs/last.ckpt", "libx.so.1.2"]
        ours = ["moe/plan.cc", "proto/model.proto", "docs/build.md", "tools/build/x.sh",
                "clients/python/orchard/client.py"]
        with tree.planted({name: "" for name in built + ours}) as root:
            found = faults(root)
        self.assertEqual(sorted(fault.split(":")[0] for fault in found), sorted(built))


class RepositoryTest(unittest.TestCase):

    def test_only_sources_are_committed(self):
        found = faults(tree.ROOT)
        self.assertFalse(found, tree.report(found))


if __name__ == "__main__":
    unittest.main()
