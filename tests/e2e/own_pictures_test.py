"""docs/own-pictures.md, walked through: its commands, as they stand there."""

import os
import pathlib
import random
import re
import shlex
import struct
import subprocess
import tempfile
import unittest
import zlib

import markdown

ROOT = pathlib.Path(os.environ["ORCHARD_SOURCE_DIR"])
BINARIES = pathlib.Path(os.environ["ORCHARD_BIN_DIR"])
SIDE = 40  # pixels
PICTURES = 14  # a class
COLOURS = {
    "mushrooms/Fliegenpilz": (200, 30, 30),
    "mushrooms/Röhrling 2": (110, 70, 30),
    "berries/currant": (90, 10, 120),
    "berries/sea buckthorn": (240, 150, 10),
}


def png(colour, seed):
    """A noisy picture of one colour."""
    draw = random.Random(seed)
    rows = b"".join(
        b"\0" + bytes(min(255, max(0, value + draw.randrange(-25, 26)))
                      for _ in range(SIDE) for value in colour) for _ in range(SIDE))

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)) +
            chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def write_pictures(folder):
    for index, (name, colour) in enumerate(COLOURS.items()):
        (folder / name).mkdir(parents=True)
        for i in range(PICTURES):
            # PNG under the name of JPEG: the format is known by the content.
            (folder / name / f"{i:02}.jpg").write_bytes(png(colour, 100 * index + i))
    (folder / "berries/currant/broken.jpg").write_text("no picture")


def page_commands():
    text = (ROOT / "docs/own-pictures.md").read_text(encoding="utf-8")
    return [command for _, command in markdown.commands(text)
            if command.startswith(("orchard-train ", "orchard-router ", "orchard "))]


class OwnPicturesTest(unittest.TestCase):

    def setUp(self):
        self.here = pathlib.Path(
            self.enterContext(tempfile.TemporaryDirectory(prefix="orchard-own-pictures-")))
        write_pictures(self.here / "pictures")
        (self.here / "models").mkdir()
        (self.here / "models/default").symlink_to(ROOT / "models/default")

    def run_to_the_end(self, words):
        done = subprocess.run([BINARIES / words[0], *words[1:]], cwd=self.here, text=True,
                              capture_output=True, check=False)
        self.assertEqual(done.returncode, 0, f"{words}\n{done.stdout}\n{done.stderr}")
        return done.stdout + done.stderr

    def start_router(self, words):
        ports = ["--listen", "--http-listen", "--metrics-listen"]
        router = subprocess.Popen(
            [BINARIES / words[0], *words[1:], *(w for p in ports for w in (p, "127.0.0.1:0"))],
            cwd=self.here, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.addCleanup(router.stdout.close)
        self.addCleanup(router.wait)
        self.addCleanup(router.terminate)
        for line in router.stdout:
            if found := re.search(r"ready.*?grpc[= ](\S+)", line):
                return found[1]
        return self.fail("the router ended before it was ready")

    def test_every_command_of_the_page(self):
        said = {}
        server = None
        for command in page_commands():
            words = [word for word in shlex.split(command) if word != "&"]
            if words[0] == "orchard-router":
                server = self.start_router(words)
                continue
            if words[0] == "orchard":
                words += ["--server", server]
            said[" ".join(words[:2])] = self.run_to_the_end(words)
        self.assertEqual(set(said), {"orchard-train new", "orchard-train stats",
                                     "orchard-train scan", "orchard-train fit",
                                     "orchard-train export", "orchard-train eval",
                                     "orchard model", "orchard classify"})
        self.assertIn("broken.jpg", said["orchard-train fit"])
        self.assertIn("garden/1", said["orchard model"])
        # Behind the file's name, which names the class as well.
        self.assertIn("Röhrling 2", said["orchard classify"].rpartition("01.jpg")[2])
        routed = re.findall(r"^mean (\S+),", said["orchard-train eval"], re.M)
        self.assertGreater(float(routed[0]), 0.75)

    def test_what_stands_in_the_way_comes_at_once_and_nothing_is_written(self):
        pictures = self.here / "pictures"
        (pictures / "wild plants").mkdir()
        (pictures / "berries/empty").mkdir()
        (pictures / "loose").mkdir()
        (pictures / "loose/one.png").write_bytes(png((1, 2, 3), 5))
        done = subprocess.run(
            [BINARIES / "orchard-train", "new", "--data", pictures, "--out", self.here / "r.textproto"],
            text=True, capture_output=True, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertFalse((self.here / "r.textproto").exists())
        for fault in ('"wild plants" can\'t be a domain\'s name', "berries/empty holds no pictures",
                      "loose holds 0 class folders", "it holds 1 pictures"):
            self.assertIn(fault, done.stderr)
        self.assertEqual(len(done.stderr.strip().splitlines()), 1 + done.stderr.count("OPENBLAS"))


if __name__ == "__main__":
    unittest.main()
