"""What goes to a machine with a GPU: the launcher, the cutting of results, and how the packer refuses."""

import os
import pathlib
import subprocess
import sys
import unittest

import tree

GPU = tree.ROOT / "tools/gpu"
VERSION = "2.11.0"
PROGRAM = '#!/bin/sh\necho "$LD_LIBRARY_PATH"\necho "$@"\n'


def start(*command, **variables):
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **variables}
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False,
                          env=environment, timeout=60)


def bundle():
    """A bundle whose program says what it was started with, and a LibTorch beside it."""
    files = {"bundle/bin/orchard-train": PROGRAM, "bundle/share/libtorch-version": f"{VERSION}\n",
             "bundle/orchard-train": (GPU / "orchard-train").read_bytes(),
             "site/torch/__init__.py": "raise SystemExit('imported')\n",
             "site/torch/version.py": f"__version__ = '{VERSION}+cu130'\ndebug = False\n",
             "site/nvidia/cudnn/lib/libcudnn.so.9": ""}
    files |= {f"site/torch/lib/lib{name}.so": "" for name in ("torch", "torch_cpu", "c10")}
    return tree.planted(files)


class LauncherTest(unittest.TestCase):

    def launch(self, root, *arguments, **variables):
        for name in ("orchard-train", "bin/orchard-train"):
            (root / "bundle" / name).chmod(0o755)
        return start(root / "bundle/orchard-train", *arguments, **variables)

    def test_finds_the_libtorch_that_is_named(self):
        with bundle() as root:
            run = self.launch(root, "fit", "--work", "a b", ORCHARD_LIBTORCH=str(root / "site/torch"),
                              LD_LIBRARY_PATH="/before")
            self.assertEqual(run.returncode, 0, run.stderr)
            folders, arguments = run.stdout.splitlines()
            self.assertEqual(arguments, "fit --work a b")
            places = [pathlib.Path(folder).resolve() for folder in folders.split(":")]
            root = root.resolve()
            self.assertEqual(places, [root / "bundle/lib", root / "site/torch/lib",
                                      root / "site/nvidia/cudnn/lib", pathlib.Path("/before")])

    def test_finds_that_of_python_without_importing_it(self):
        with bundle() as root:
            (root / "bin").mkdir()
            (root / "bin/python3").symlink_to(sys.executable)
            run = self.launch(root, "--version", PYTHONPATH=str(root / "site"),
                              PATH=f"{root / 'bin'}:{os.environ['PATH']}")
            self.assertEqual(run.returncode, 0, run.stderr)
            self.assertIn(f"{root}/site/torch/lib", run.stdout)

    def test_refuses_what_it_cannot_run_with(self):
        with bundle() as root:
            torch = root / "site/torch"
            cases = [("no lib/libtorch.so", {"ORCHARD_LIBTORCH": str(root)}),
                     ("no LibTorch: the python3 in PATH has no PyTorch", {"PYTHONPATH": str(root)})]
            if start("python3", "-c", "import torch").returncode == 0:
                cases.pop()  # This machine's Python has one.
            for sentence, variables in cases:
                run = self.launch(root, "fit", **variables)
                self.assertEqual(run.returncode, 1, run.stdout)
                self.assertIn(sentence, run.stderr)
            for text, found in (("__version__ = '2.9.1+cpu'\n", "is 2.9.1, this bundle"),
                                ("", "is of a version that it does not say")):
                (torch / "version.py").write_text(text)
                run = self.launch(root, "fit", ORCHARD_LIBTORCH=str(torch))
                self.assertEqual(run.returncode, 1, run.stdout)
                self.assertIn(found, run.stderr)
                self.assertIn(f"was linked with {VERSION}", run.stderr)

    def test_knows_the_version_of_an_archive_without_python(self):
        with bundle() as root:
            (root / "site/torch/version.py").unlink()
            (root / "site/torch/build-version").write_text(f"{VERSION}+cpu\n")
            run = self.launch(root, "fit", ORCHARD_LIBTORCH=str(root / "site/torch"))
            self.assertEqual(run.returncode, 0, run.stderr)


class PiecesTest(unittest.TestCase):

    def test_what_was_cut_is_joined_again(self):
        content = {"run/checkpoint.safetensors": os.urandom(2_500_000), "run/log.txt": "epoch 1\n"}
        with tree.planted(content) as root:
            cut = start(GPU / "pieces", "split", root / "run", root / "out", "1")
            self.assertEqual(cut.returncode, 0, cut.stderr)
            names = sorted(path.name for path in (root / "out").iterdir())
            self.assertEqual(names, ["run.sha256", "run.tar.gz.000", "run.tar.gz.001", "run.tar.gz.002"])
            self.assertTrue(all(path.stat().st_size <= 2**20 for path in (root / "out").iterdir()))
            joined = start(GPU / "pieces", "join", root / "out/run.sha256", root / "back")
            self.assertEqual(joined.returncode, 0, joined.stderr)
            for name in content:
                self.assertEqual((root / "back" / name).read_bytes(), (root / name).read_bytes())

    def test_a_piece_that_is_lost_or_broken_is_found(self):
        with tree.planted({"run/a": os.urandom(1_500_000)}) as root:
            start(GPU / "pieces", "split", root / "run", root / "out", "1")
            piece = root / "out/run.tar.gz.001"
            for spoil in (lambda: piece.write_bytes(b"other"), piece.unlink):
                spoil()
                joined = start(GPU / "pieces", "join", root / "out/run.sha256", root / "back")
                self.assertEqual(joined.returncode, 1)
                self.assertIn("missing or not what it was", joined.stderr)
                self.assertFalse((root / "back").exists())

    def test_wrong_usage_is_two_and_wrong_input_one(self):
        self.assertEqual(start(GPU / "pieces").returncode, 2)
        self.assertEqual(start(GPU / "pieces", "join", "x").returncode, 2)
        with tree.planted({"run/a": "x", "with space/a": "x"}) as root:
            for arguments, sentence in ((("split", root / "gone", root / "o"), "is not there"),
                                        (("split", root / "run", root / "o", "0"), "no size in MiB"),
                                        (("split", root / "with space", root / "o"), "a name may have"),
                                        (("join", root / "gone.sha256", root / "o"), "is not there")):
                run = start(GPU / "pieces", *arguments)
                self.assertEqual(run.returncode, 1, run.stderr)
                self.assertIn(sentence, run.stderr)


class PackerTest(unittest.TestCase):

    def pack(self, **variables):
        return start(sys.executable, "-B", tree.ROOT / "tools/gpu-bundle", **variables)

    def test_refuses_before_it_builds_anything(self):
        self.assertIn("ORCHARD_LIBTORCH must name", self.pack().stderr)
        with tree.planted({"torch/version.py": "debug = False\n"}) as root:
            run = self.pack(ORCHARD_LIBTORCH=str(root / "torch"))
            self.assertEqual(run.returncode, 1)
            self.assertIn("does not say its version", run.stderr)
        usage = start(sys.executable, "-B", tree.ROOT / "tools/gpu-bundle", "--help")
        self.assertEqual(usage.returncode, 2)
        self.assertIn("Usage: ORCHARD_LIBTORCH=DIR", usage.stderr)


if __name__ == "__main__":
    unittest.main()
