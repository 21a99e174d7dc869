"""./dev hands settings on: what tools/demo and tools/bench get, from arguments and environment."""

import contextlib
import os
import subprocess
import unittest

import tree

NOTHING = "#!/bin/sh\n"
SHOW = '#!/bin/sh\nfor name in ONCE IMAGES MODEL ROUNDS BASE; do eval "echo $name=\\$$name"; done\necho "$@"\n'


class Dev:
    """A planted tree with the real ./dev; what it starts does nothing or shows its settings."""

    def __init__(self, root):
        self.root = root.resolve()
        for name in ("tools/install-packages", "tools/demo", "tools/bench", "tools/boards",
                     "tools/hosts-test", "tools/k8s-test", "path/cmake"):
            (root / name).chmod(0o755)

    def run(self, *arguments, **environment):
        """(exit code, lines of stdout, stderr), called in the folder `here`."""
        clean = {name: value for name, value in os.environ.items()
                 if name not in ("ONCE", "DASH", "IMAGES", "MODEL", "ROUNDS", "BASE", "PRESET")}
        clean["PATH"] = f"{self.root}/path:{clean['PATH']}"
        run = subprocess.run(["bash", "../dev", *arguments], cwd=self.root / "here",
                             env=clean | environment, capture_output=True, text=True, check=False)
        return run.returncode, run.stdout.splitlines(), run.stderr


@contextlib.contextmanager
def planted():
    with tree.planted({"dev": (tree.ROOT / "dev").read_bytes(), "here/x": "",
                       "tools/install-packages": NOTHING, "path/cmake": NOTHING,
                       "tools/demo": SHOW, "tools/bench": SHOW, "tools/boards": SHOW,
                       "tools/hosts-test": '#!/bin/sh\necho "PICTURES=$PICTURES" "$@"\n',
                       "tools/k8s-test": SHOW}) as root:
        yield Dev(root)


class DevTest(unittest.TestCase):

    def test_relative_folders_are_the_callers(self):
        with planted() as dev:
            here = dev.root / "here"
            wanted = ["ONCE=1", f"IMAGES={here}/my photos", f"MODEL={here}/../m", "ROUNDS="]
            code, out, err = dev.run("demo", "ONCE=1", "IMAGES=my photos", "MODEL=../m")
            self.assertEqual((code, out[:4]), (0, wanted), err)
            code, out, err = dev.run("demo", ONCE="1", IMAGES="my photos", MODEL="../m")
            self.assertEqual((code, out[:4]), (0, wanted), err)

    def test_absolute_folders_and_defaults_stay(self):
        with planted() as dev:
            code, out, err = dev.run("demo", "IMAGES=/photos", "MODEL=")
            self.assertEqual((code, out[:4]), (0, ["ONCE=", "IMAGES=/photos", "MODEL=", "ROUNDS="]),
                             err)

    def test_other_arguments_are_handed_on(self):
        with planted() as dev:
            code, out, err = dev.run("bench", "micro", "ROUNDS=2")
            self.assertEqual((code, out[3:]), (0, ["ROUNDS=2", "BASE=", "build/release/bin micro"]),
                             err)

    def test_the_build_to_compare_with_is_where_the_caller_is(self):
        with planted() as dev:
            wanted = [f"BASE={dev.root}/here/../old/bin", "build/release/bin compare"]
            code, out, err = dev.run("bench", "compare", "BASE=../old/bin")
            self.assertEqual((code, out[4:]), (0, wanted), err)

    def test_only_boards_asks_for_what_draws_them(self):
        with planted() as dev:
            (dev.root / "tools/install-packages").write_text('#!/bin/sh\necho "packages $*"\n')
            code, out, err = dev.run("boards", "IMAGES=photos")
            self.assertEqual((code, out), (0, [
                "packages gnuplot-nox", "packages ", "ONCE=", f"IMAGES={dev.root}/here/photos", "MODEL=",
                "ROUNDS=", "BASE=", "build/release/bin"]), err)
            _, out, _ = dev.run("demo")
            self.assertEqual(out[0], "packages ")

    def test_trials_on_several_hosts_are_named(self):
        with planted() as dev:
            code, out, err = dev.run("hosts-test", "roll", "PICTURES=50", "killed")
            self.assertEqual((code, out), (0, ["PICTURES=50 build/release/bin roll killed"]), err)

    def test_the_chart_is_tried_without_a_build(self):
        with planted() as dev:
            code, out, err = dev.run("k8s-test", "chart")
            self.assertEqual((code, out[-1]), (0, "build/release/bin chart"), err)

    def test_an_unknown_setting_is_refused_with_the_known_ones(self):
        with planted() as dev:
            for argument in ("IMAGE=dir", "once=1", "ONCE_=1"):
                with self.subTest(argument):
                    code, out, err = dev.run("demo", argument)
                    self.assertEqual((code, out), (2, []))
                    self.assertIn(f'unknown setting "{argument}"', err)
                    for name in ("PRESET", "ONCE", "DASH", "IMAGES", "MODEL"):
                        self.assertIn(name, err)

    def test_the_demo_refuses_what_it_would_ignore(self):
        with planted() as dev:
            code, out, err = dev.run("demo", "photos")
            self.assertEqual((code, out), (2, []))
            self.assertIn('"photos"', err)


if __name__ == "__main__":
    unittest.main()
