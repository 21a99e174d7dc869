"""Holds every #include of ours to the layers of cmake/OrchardLibrary.cmake.

Rules:
  - a folder includes itself and lower layers; clients only proto, core and rpc;
  - <x>/internal/ is included only from <x> and the tests and benches of its folder;
  - training/ is included by nobody but itself, its tests and its benches;
  - training/{data,loop,measure,log}/ know no study: they include nothing of training/studies/, and
    neither does a study anything of another one;
  - LibTorch, OpenCV, libjpeg and gRPC reach, directly or through our headers, only the places that
    are about them (FOREIGN below): most cost every file that sees them seconds of compiling;
  - includes of ours start at the root of the tree and exist.
"""

import pathlib
import re
import unittest

import tree

SUFFIXES = {".h", ".cc"}
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)
OUTSIDE = {"tests", "bench"}  # beside the house, not in it

# library: (how its headers begin, where they may arrive: path prefixes)
FOREIGN = {
    "LibTorch": (re.compile(r"(torch|ATen|c10|caffe2)/"), (
        "nets/", "model/", "training/", "tests/unit/nets/", "tests/unit/model/",
        "tests/unit/training/", "tests/integration/training", "tests/testing/", "bench/nets/",
        "bench/model/", "bench/training/", "bench/serving/reference.cc")),
    "OpenCV": (re.compile(r"opencv2?/"), (
        "vision/", "tests/unit/vision/", "tests/testing/", "bench/vision/",
        "bench/serving/reference.cc")),
    "libjpeg": (re.compile(r"(jpeglib|jerror|jconfig|jmorecfg|turbojpeg)\.h"), ("vision/",)),
    "gRPC": (re.compile(r"(grpc|grpcpp)/|.*\.grpc\.pb\.h$"), (
        "rpc/", "server/", "experts/", "router/", "clients/", "tests/", "bench/")),
}


def parse_layers(text):
    """(rank of each folder, folders that clients may include), from OrchardLibrary.cmake's text."""
    layers = re.search(r"set\(ORCHARD_LAYERS\s+([^)]+)\)", text)
    clients = re.search(r"set\(ORCHARD_CLIENT_DEPS\s+([^)]+)\)", text)
    if not layers or not clients:
        raise ValueError("ORCHARD_LAYERS or ORCHARD_CLIENT_DEPS is not in cmake/OrchardLibrary.cmake")
    ranks = {folder: rank for rank, layer in enumerate(layers[1].split())
             for folder in layer.split(",")}
    return ranks, set(clients[1].split())


def home(path):
    """The folder whose rules hold for a file: its own, or the one that it tests or measures."""
    parts = path.parts
    if parts[0] == "tests" and len(parts) > 3 and parts[1] == "unit":
        return parts[2]
    if parts[0] == "bench" and len(parts) > 2:
        return parts[1]
    return parts[0]


class Includes:
    """The includes of a tree, direct and through our own headers."""

    def __init__(self, root):
        self.root = root
        self.direct = {}  # path: [(quote, header)]
        for path in tree.walk(root):
            if path.suffix in SUFFIXES:
                text = (root / path).read_text(encoding="utf-8", errors="replace")
                self.direct[path] = INCLUDE.findall(text)

    def ours(self, header):
        """The file of ours that an include names, if it is one; generated headers aren't files."""
        path = pathlib.Path(header)
        return path if path in self.direct else None

    def chain(self, path, pattern, seen=None):
        """How `path` reaches a header that matches: [header, …, match], or None."""
        seen = set() if seen is None else seen
        for _, header in self.direct[path]:
            if pattern.match(header):
                return [header]
            ours = self.ours(header)
            if ours and ours not in seen:
                seen.add(ours)
                rest = self.chain(ours, pattern, seen)
                if rest:
                    return [header, *rest]
        return None


def layer_fault(path, header, ranks, client_deps):
    """Why the folder of `path` must not include `header`, or None."""
    own, first = home(path), pathlib.Path(header).parts[0]
    target = "proto" if re.search(r"\.pb\.h$", header) else first
    if target in OUTSIDE:
        return None if path.parts[0] in OUTSIDE else f"{target}/ is for tests and benches only"
    if target not in ranks or target == own:
        return None
    if target == "training":
        return "training/ is included by nobody but itself and its tests"
    if own == "clients" and target not in client_deps:
        return f"clients include only {', '.join(sorted(client_deps))}"
    if own in ranks and ranks[target] >= ranks[own]:
        return f"{own} (layer {ranks[own]}) must not include {target} (layer {ranks[target]})"
    return None


def study_fault(path, header):
    """Whether `path`, which is of training, must not know the study that `header` is of."""
    target = re.match(r"training/studies/(\w+)/", header)
    own = re.match(r"training/(data|loop|measure|log|studies)/(\w+)", path.as_posix())
    if not target or not own or own.group(1, 2) == ("studies", target[1]):
        return None
    if own[1] == "studies":
        return f"a study must not include another one: {target[1]}"
    return f"training/{own[1]}/ must not include a study"


def internal_fault(path, header):
    """Whether `header` is internal to a folder that `path` is no part of."""
    parts = pathlib.Path(header).parts
    if "internal" not in parts[:-1]:
        return None
    owner = parts[:parts.index("internal")]
    if path.parts[:len(owner)] == owner:
        return None
    if path.parts[0] in OUTSIDE and home(path) == owner[0]:
        return None
    return f"{'/'.join(owner)}/internal/ is that folder's own"


def location_fault(path, quote, header, includes, ranks):
    """Whether an include of ours isn't written from the root, or isn't there."""
    first = pathlib.Path(header).parts[0]
    if quote == '"' and (includes.root / path.parent / header).is_file() and \
            not (includes.root / header).is_file():
        return f'write it from the root: "{(path.parent / header).as_posix()}"'
    if first not in ranks and first not in OUTSIDE:
        return None
    if quote == "<":
        return "a header of ours goes in quotes"
    if not includes.ours(header) and not header.endswith(".pb.h"):
        return "there is no such file"
    return None


def faults(root):
    """Every include that breaks a rule, one line each."""
    ranks, client_deps = parse_layers((root / "cmake/OrchardLibrary.cmake").read_text())
    includes = Includes(root)
    found = []
    for path, headers in includes.direct.items():
        for quote, header in headers:
            for fault in (layer_fault(path, header, ranks, client_deps),
                          study_fault(path, header),
                          internal_fault(path, header),
                          location_fault(path, quote, header, includes, ranks)):
                if fault:
                    found.append(f"{path}: includes {header}: {fault}")
        for library, (pattern, places) in FOREIGN.items():
            if path.as_posix().startswith(places):
                continue
            chain = includes.chain(path, pattern)
            if chain:
                found.append(f"{path}: {library} must not come here: {' → '.join(chain)}")
    return found


CMAKE = """set(ORCHARD_LAYERS proto core vision,moe,nets,rpc model,clients server experts router training)
set(ORCHARD_CLIENT_DEPS proto core rpc)
"""


class CheckerTest(unittest.TestCase):
    """Each planted fault is found, and nothing else."""

    def check(self, files, *wanted):
        with tree.planted({"cmake/OrchardLibrary.cmake": CMAKE, **files}) as root:
            found = faults(root)
        self.assertEqual(len(found), len(wanted), tree.report(found))
        for part, fault in zip(wanted, found):
            self.assertIn(part, fault)

    def test_accepts_what_is_allowed(self):
        self.check({
            "core/text.h": "#include <string>\n",
            "moe/internal/sum.h": "",
            "moe/plan.cc": '#include "moe/internal/sum.h"\n#include "core/text.h"\n',
            "tests/unit/moe/plan_test.cc": '#include "moe/internal/sum.h"\n'
                                           '#include "tests/testing/x.h"\n',
            "tests/testing/x.h": '#include "absl/status/status.h"\n',
            "nets/head.h": "#include <torch/nn.h>\n",
            "model/encoder.cc": '#include "nets/head.h"\n',
            "model/encoder.h": '#include "core/text.h"\n',
            "router/pipeline.cc": '#include "model/encoder.h"\n#include "orchard/v1/x.pb.h"\n',
            "clients/cpp/client.h": '#include "orchard/v1/x.grpc.pb.h"\n',
            "training/loop.cc": '#include "router/pipeline.h"\n',
            "router/pipeline.h": "",
        })

    def test_refuses_a_higher_layer(self):
        self.check({"core/text.cc": '#include "moe/plan.h"\n', "moe/plan.h": ""},
                   "core (layer 1) must not include moe (layer 2)")

    def test_refuses_a_neighbour(self):
        self.check({"moe/plan.cc": '  #  include "vision/decode.h"\n', "vision/decode.h": ""},
                   "moe (layer 2) must not include vision (layer 2)")

    def test_holds_unit_tests_and_benches_to_the_layers_of_their_folder(self):
        self.check({"tests/unit/core/x_test.cc": '#include "moe/plan.h"\n', "moe/plan.h": "",
                    "bench/moe/x_bench.cc": '#include "router/x.h"\n', "router/x.h": ""},
                   "moe (layer 2) must not include router", "core (layer 1) must not include moe")

    def test_refuses_what_clients_must_not_see(self):
        self.check({"clients/cpp/x.cc": '#include "moe/plan.h"\n', "moe/plan.h": ""},
                   "clients include only core, proto, rpc")

    def test_refuses_training_from_outside(self):
        self.check({"training/loop.h": "", "tests/integration/x_test.cc":
                    '#include "training/loop.h"\n', "tests/unit/training/x_test.cc":
                    '#include "training/loop.h"\n'}, "tests/integration/x_test.cc")

    def test_refuses_studies_where_none_is_known(self):
        self.check({"training/studies/a/x.h": "", "training/studies/a/y.cc":
                    '#include "training/studies/a/x.h"\n', "training/study.cc":
                    '#include "training/studies/a/x.h"\n'})
        self.check({"training/studies/a/x.h": "", "training/loop/y.cc":
                    '#include "training/studies/a/x.h"\n', "training/studies/b/y.cc":
                    '#include "training/studies/a/x.h"\n'},
                   "training/loop/ must not include a study",
                   "a study must not include another one: a")

    def test_refuses_foreign_internals(self):
        self.check({"model/internal/x.h": "", "router/x.cc": '#include "model/internal/x.h"\n'},
                   "model/internal/ is that folder's own")

    def test_refuses_tests_in_the_house(self):
        self.check({"core/x.cc": '#include "tests/testing/x.h"\n', "tests/testing/x.h": ""},
                   "tests/ is for tests and benches only")

    def test_follows_libtorch_through_our_headers(self):
        self.check({"nets/head.h": "#include <torch/nn.h>\n",
                    "model/encoder.h": '#include "nets/head.h"\n',
                    "router/pipeline.cc": '#include "model/encoder.h"\n'},
                   "router/pipeline.cc: LibTorch must not come here: "
                   "model/encoder.h → nets/head.h → torch/nn.h")

    def test_refuses_opencv_and_grpc_out_of_place(self):
        self.check({"model/a.cc": "#include <opencv2/core.hpp>\n",
                    "moe/b.cc": '#include "grpcpp/grpcpp.h"\n'},
                   "model/a.cc: OpenCV", "moe/b.cc: gRPC")

    def test_refuses_relative_missing_and_angled_includes(self):
        self.check({"moe/a.cc": '#include "plan.h"\n', "moe/plan.h": "",
                    "moe/b.cc": '#include "core/none.h"\n', "moe/c.cc": "#include <core/d.h>\n",
                    "core/d.h": ""},
                   '"moe/plan.h"', "there is no such file", "goes in quotes")

    def test_needs_the_table(self):
        with self.assertRaises(ValueError):
            parse_layers("set(SOMETHING else)")


class RepositoryTest(unittest.TestCase):

    def test_every_include_keeps_to_the_layers(self):
        found = faults(tree.ROOT)
        self.assertFalse(found, tree.report(found))


if __name__ == "__main__":
    unittest.main()
