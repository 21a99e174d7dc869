"""The configure step stops at a link upwards (cmake/OrchardLibrary.cmake)."""

import os
import shutil
import subprocess
import unittest

import tree

CMAKE = os.environ.get("CMAKE_COMMAND") or shutil.which("cmake")
LIBRARY = tree.ROOT / "cmake/OrchardLibrary.cmake"
HEAD = "cmake_minimum_required(VERSION 3.25)\n"


def script(body):
    """Runs CMake code after the layers' table; returns (exit code, what it said on one line)."""
    with tree.planted({"x.cmake": f'{HEAD}include("{LIBRARY}")\n{body}\n'}) as root:
        run = subprocess.run([CMAKE, "-P", "x.cmake"], cwd=root, capture_output=True, text=True,
                             check=False)
    return run.returncode, " ".join(run.stderr.split())


@unittest.skipUnless(CMAKE, "cmake is missing: run ./dev deps")
class ConfigureTest(unittest.TestCase):

    def test_a_project_that_links_upwards_is_not_configured(self):
        project = (f'{HEAD}project(planted LANGUAGES NONE)\n'
                   f'include("{LIBRARY}")\n'
                   "orchard_library(core SOURCES text.cc DEPS moe)\n")
        with tree.planted({"CMakeLists.txt": project, "text.cc": ""}) as root:
            run = subprocess.run([CMAKE, "-S", ".", "-B", "out", "-G", "Ninja"], cwd=root,
                                 capture_output=True, text=True, check=False)
        self.assertNotEqual(run.returncode, 0)
        self.assertIn("core (layer 1) must not link moe (layer 2)", " ".join(run.stderr.split()))

    def test_refused_links(self):
        for body, message in [
                ("orchard_library(core SOURCES a.cc DEPS proto moe)",
                 "core (layer 1) must not link moe (layer 2)"),
                ("orchard_library(moe SOURCES a.cc DEPS nets)",
                 "moe (layer 2) must not link nets (layer 2)"),
                ("orchard_library(clients SOURCES a.cc DEPS moe)", "clients must not link moe: only proto;core;rpc"),
                ("orchard_library(router SOURCES a.cc DEPS training)",
                 "router (layer 6) must not link training (layer 7)"),
                ("orchard_binary(x FOLDER experts SOURCES a.cc DEPS experts router)",
                 "experts (layer 5) must not link router (layer 6)"),
                ("orchard_library(utils SOURCES a.cc)", "utils is not in ORCHARD_LAYERS"),
                ("orchard_library(core SOURCES a.cc DEPS utils)", "utils is not in ORCHARD_LAYERS"),
        ]:
            with self.subTest(body):
                code, said = script(body)
                self.assertNotEqual(code, 0)
                self.assertIn(message, said)

    def test_allowed_links(self):
        for folder, deps in [("moe", "core"), ("router", "proto core moe model experts server"),
                             ("clients", "proto core rpc"), ("training", "router")]:
            with self.subTest(folder):
                code, said = script(f"_orchard_check_layers({folder} {deps})")
                self.assertEqual(code, 0, said)


if __name__ == "__main__":
    unittest.main()
