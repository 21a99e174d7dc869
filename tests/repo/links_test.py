"""The client links neither LibTorch nor OpenCV: it is installed where neither is."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

import tree

LDD = shutil.which("ldd")
BIN_DIR = pathlib.Path(os.environ.get("ORCHARD_BIN_DIR") or tree.ROOT / "build/release/bin")
CLIENTS = ["orchard"]
HEAVY = re.compile(r"\blib(torch|c10|opencv|openblas)\w*\.so")


def libraries(program):
    """What the loader would load for a program, by name."""
    run = subprocess.run([LDD, program], capture_output=True, text=True, check=True)
    return [line.split()[0] for line in run.stdout.splitlines()]


@unittest.skipUnless(LDD, "ldd is missing")
class LinksTest(unittest.TestCase):

    def test_libraries_are_seen(self):
        self.assertTrue(any(re.match(r"libc\.so", name) for name in libraries(sys.executable)))

    def test_heavy_ones_are_told_by_their_names(self):
        for name in ("libtorch_cpu.so.1.13", "libc10.so.1.13", "libopencv_core.so.406"):
            self.assertRegex(name, HEAVY)
        for name in ("libgrpc++.so.1.51", "libprotobuf.so.32", "libc.so.6"):
            self.assertNotRegex(name, HEAVY)

    def test_clients_are_light(self):
        for client in CLIENTS:
            with self.subTest(client):
                program = BIN_DIR / client
                if not program.is_file():
                    self.skipTest(f"{program} is not built")
                self.assertEqual([name for name in libraries(program) if HEAVY.search(name)], [])


if __name__ == "__main__":
    unittest.main()
