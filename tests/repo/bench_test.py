"""tools/bench with programs that only play their parts: what it runs in which order, what it says.

The real programs are tested by tests/e2e and tests/integration; here a folder's name (base, new) says
how fast its programs are.
"""

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import unittest

import tree

PATIENCE_S = 120
TOOLS = ("demo", "monitoring.py", "bench", "bench_budgets.py", "bench_build.py", "bench_compare.py",
         "bench_faults.py", "bench_fleet.py", "bench_runs.py", "hosts_network.py", "metrics_page.py")

# Every program writes down that it was called: build, program, and what tells one call from another.
HEAD = r"""#!/bin/sh
here=${0%/bin/*}
build=${here##*/}
calls=$here/../calls
note() { echo "$build ${0##*/} $1" >>"$calls"; }
flag() { # the word behind $1 in the rest
  name=$1
  while [ $# -gt 2 ]; do shift; [ "$1" != "$name" ] || echo "$2"; done
}
"""

# At an address that says what it is: base:remote, new:embedded, new:half.
SERVER = HEAD + r"""
note $$
kind=embedded
case "$*" in *--expert*) kind=remote ;; *--decode-workers*) kind=half ;; esac
sleep 60 & trap 'kill $!; exit 0' TERM
echo "${0##*/} ready grpc=$build:$kind http=x metrics=x"
wait
"""

# The new build answers half as many pictures as the base with all experts inside, else as many.
CLIENT = HEAD + r"""
server=$(flag --server "$@")
note "$server $(flag --concurrency "$@")"
rate=100.0
[ "$server" != new:embedded ] || rate=50.0
cat <<JSON
{"planned": 8, "ok": 8, "errors": {}, "degraded": ${DEGRADED:-0}, "ok_per_second": $rate,
 "latency_ms": {"p50": 10.0, "p99": 20.0}, "experts_asked": 1.25, "without_decode_ms": {"p50": 6.0}}
JSON
"""

# The new build's reference loop is twice as fast; of "plain" whoever is asked second is faster.
PIPELINE = HEAD + r"""
mode=$(flag --mode "$@")
[ "$mode" != "${BROKEN:-}" ] || { echo "bench_pipeline: notes.txt: not a picture" >&2; exit 1; }
before=0
[ ! -f "$calls" ] || before=$(grep -c "bench_pipeline $mode\$" "$calls")
note "$mode"
rate=40.0
[ "$build $mode" != "new reference" ] || rate=80.0
[ "$mode $((before % 2))" != "plain 1" ] || rate=41.0
echo "{\"pictures_per_second\": $rate, \"p50_ms\": 5.0}"
"""

PLANNING = HEAD + r"""
note "$*"
cat <<JSON
{"benchmarks": [{"label": "hard", "cpu_time": 250.0}, {"label": "exact", "cpu_time": 1250.0}]}
JSON
"""

PROGRAMS = {"orchard": CLIENT, "orchard-router": SERVER, "orchard-expert": SERVER,
            "bench_pipeline": PIPELINE, "bench_router": PLANNING, "bench_core": HEAD + "note\n",
            "bench_shards": HEAD + "exit 2\n"}
PAGE = "before\n<!-- bench: begin -->\nold\n<!-- bench: end -->\nafter\n"


class Bench:
    """Two planted builds, a model and pictures, and the tool on them."""

    def __init__(self, root):
        self.root = root
        for build in ("base", "new"):
            for program in PROGRAMS:
                (root / build / "bin" / program).chmod(0o755)

    def run(self, *what, **settings):
        """(exit code, stdout, stderr)"""
        environment = {name: value for name, value in os.environ.items()
                       if name not in ("IMAGES", "MODEL", "ROUNDS", "PICTURES", "BASE")}
        environment |= {"IMAGES": str(self.root / "images"), "MODEL": str(self.root / "model"),
                        "ROUNDS": "2", "PICTURES": "8", **settings}
        run = subprocess.run([sys.executable, "-B", self.root / "tools/bench", self.root / "new/bin",
                              *what], env=environment, capture_output=True, text=True, check=False,
                             timeout=PATIENCE_S)
        return run.returncode, run.stdout, run.stderr

    def compare(self, **settings):
        return self.run("compare", **{"BASE": str(self.root / "base/bin"), **settings})

    def calls(self, program):
        """What was noted of a program, [(build, what)]."""
        calls = self.root / "calls"
        lines = calls.read_text().splitlines() if calls.exists() else []
        return [(build, what) for build, name, what in (line.split(" ", 2) for line in lines)
                if name == program]

    def left(self):
        """Servers that still run."""
        pids = [pid for name in ("orchard-router", "orchard-expert") for _, pid in self.calls(name)]
        assert pids, "nothing was started"
        return [pid for pid in pids if pathlib.Path("/proc", pid).exists()]

    def page(self):
        return (self.root / "docs/performance.md").read_text(encoding="utf-8")


@contextlib.contextmanager
def planted():
    files = {f"tools/{name}": (tree.ROOT / "tools" / name).read_bytes() for name in TOOLS}
    files |= {f"{build}/bin/{name}": text for build in ("base", "new")
              for name, text in PROGRAMS.items()}
    files |= {"model/1/manifest.json": json.dumps({"experts": [{"domain": "rice"}]}),
              "images/a.jpg": "x" * 5000, "docs/performance.md": PAGE,
              "bench/core/a_bench.cc": "", "bench/vision/b_bench.cc": "", "bench/training/shards.cc": ""}
    with tree.planted(files) as root:
        yield Bench(root)


def row(text, what):
    """The cells behind a row's name."""
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {what} |")]
    return [cell.strip() for cell in line.split("|")[2:-1]]


@unittest.skipUnless(shutil.which("setpriv"), "setpriv is missing")
class CompareTest(unittest.TestCase):

    def test_says_what_every_round_found_better_or_worse_and_writes_nothing(self):
        with planted() as bench:
            code, out, err = bench.compare()
            self.assertEqual((code, err), (0, ""), out)
            self.assertEqual(bench.left(), [])
            self.assertEqual(bench.page(), PAGE)
        self.assertEqual(row(out, "reference loop"),
                         ["2.000 (2.000 to 2.000)", "80 pictures/s", "40 pictures/s", "better"])
        self.assertEqual(row(out, "embedded router over gRPC"),
                         ["0.500 (0.500 to 0.500)", "50 pictures/s", "100 pictures/s", "worse"])
        change, _, _, verdict = row(out, "plain loop")
        self.assertRegex(change, r"^1\.000 \(0\.976 to 1\.025\)$")
        self.assertEqual(verdict, "-")
        self.assertEqual(row(out, "its overhead over the forward pass"),
                         ["+0.00 ms (+0.00 to +0.00)", "1.00 ms", "1.00 ms", "-"])
        # How long these programs take to start is the machine's affair.
        self.assertRegex(out, r"\nWorse in every round: embedded router over gRPC[.;]")

    def test_builds_are_measured_in_turn_and_each_is_the_first_one_in_every_other_round(self):
        with planted() as bench:
            bench.compare()
            plain = [build for build, what in bench.calls("bench_pipeline") if what == "plain"]
            asked = bench.calls("orchard")
        self.assertEqual(plain, ["base", "new", "new", "base"])
        self.assertEqual({build for build, _ in asked}, {"new"}, "one client asks both")
        self.assertEqual([what.split(" ")[0] for _, what in asked if ":remote" in what],
                         ["base:remote", "new:remote", "new:remote", "base:remote"])

    def test_what_is_no_build_is_refused_before_anything_runs(self):
        for base in ("", "/nowhere", "images"):
            with self.subTest(base), planted() as bench:
                code, out, err = bench.compare(BASE=base)
                self.assertEqual((code, out), (1, ""))
                self.assertRegex(err, f"^bench: BASE={base} has no bench_pipeline, orchard-expert")
                self.assertFalse((bench.root / "calls").exists())

    def test_answers_without_all_experts_are_no_measurement(self):
        with planted() as bench:
            code, _, err = bench.compare(DEGRADED="3")
            self.assertEqual(code, 1)
            self.assertRegex(err, "^bench: .*3 were answered without all experts")
            self.assertEqual(bench.left(), [])

    def test_a_program_that_fails_is_reported_in_its_own_words(self):
        with planted() as bench:
            code, _, err = bench.compare(BROKEN="forward")
        self.assertEqual(code, 1)
        self.assertIn("bench_pipeline ended with 1: bench_pipeline: notes.txt: not a picture", err)


@unittest.skipUnless(shutil.which("setpriv"), "setpriv is missing")
class BudgetsTest(unittest.TestCase):

    def test_the_table_goes_between_its_marks(self):
        with planted() as bench:
            code, out, err = bench.run()
            self.assertEqual((code, err), (0, ""), out)
            page = bench.page()
            self.assertEqual(bench.left(), [])
            in_flight = {what for _, what in bench.calls("orchard")}
        self.assertTrue(page.startswith("before\n<!-- bench: begin -->\n"), page)
        self.assertTrue(page.endswith("\n<!-- bench: end -->\nafter\n"), page)
        self.assertNotIn("old", page)
        self.assertEqual(row(page, "embedded router over gRPC / reference loop")[1],
                         "0.62 (0.62 to 0.62)")
        self.assertEqual(row(page, "overhead of a routed answer at low load, without decode")[1:],
                         ["1.00 ms", "bare forward pass 5.00 ms; 1.25 experts asked"])
        both = 2 * (os.cpu_count() or 1)
        self.assertEqual(row(page, "as many decode workers as encode workers / half as many")[1:],
                         ["0.50 (0.50 to 0.50)", "50 against 100 pictures/s"])
        self.assertEqual(row(page, "a step of planning, 200 domains of 10 endpoints"),
                         ["≤ 5 µs", "1.25 µs", "the costliest policy, exact; it allocates nothing"])
        self.assertEqual(in_flight, {f"new:embedded {both}", f"new:half {both}",
                                     f"new:remote {both}", "new:embedded 1"})


class WordsTest(unittest.TestCase):

    def test_micro_runs_what_has_benchmarks_and_nothing_else(self):
        with planted() as bench:
            code, _, err = bench.run("micro")
            self.assertEqual((code, err), (0, ""))
            self.assertEqual(len(bench.calls("bench_core")), 1)

    def test_another_word_is_refused_with_the_known_ones(self):
        with planted() as bench:
            code, out, err = bench.run("marco")
        self.assertEqual((code, out), (2, ""))
        for word in ('"marco"', "micro", "build", "faults", "overload", "fleet", "compare"):
            self.assertIn(word, err)


if __name__ == "__main__":
    unittest.main()
