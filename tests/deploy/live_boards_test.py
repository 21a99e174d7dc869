"""Every query of every board, asked of a real Prometheus that scrapes a real router and experts under
load: none is an error, and none is empty but those that only faults, or other settings, fill.

One router, two expert processes that serve all domains, and `orchard bench`, all on loopback at ports
that they find themselves.
"""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time
import unittest

import bench_runs
import monitoring
import promql
import tree

BIN_DIR = pathlib.Path(os.environ.get("ORCHARD_BIN_DIR") or tree.ROOT / "build/release/bin")
PROGRAMS = ("orchard", "orchard-router", "orchard-expert", "draw_pictures")
MODEL = tree.ROOT / "models/default"
PATIENCE_S = 90
FEW = 5  # lines of a panel that is no stack
RATE_INTERVAL = "10s"  # of samples every second

# Alerts about time, which a machine that is busy with other work may set off.
OF_THE_MACHINE = {"OrchardLatencyFastBurn", "OrchardLatencySlowBurn", "OrchardQueueWait",
                  "OrchardExpertQueueWait"}

# Queries that may be empty here, by panel and legend ("" is all of the panel), and why.
MAY_BE_EMPTY = {
    ("latency", "How long does ClassifyStream take?", ""): "our command asks with Classify",
    ("rollout", "How long are certificates good?", ""): "only with TLS",
    ("rollout", "Which renewals were wrong?", ""): "only with TLS",
}


def may_be_empty(board, panel, target):
    return ((board, panel["title"], "") in MAY_BE_EMPTY
            or (board, panel["title"], target["legendFormat"]) in MAY_BE_EMPTY)


class Fleet:
    """A router, two processes with all experts in each, the load, and who scrapes them."""

    def __init__(self, folder):
        self.processes = bench_runs.demo.Processes(folder)
        self.folder, self.load, self.prometheus = folder, None, None

    def start(self):
        model = ["--model", str(MODEL)]
        free = ["--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"]
        experts = [self.processes.start(f"expert-{n}", [BIN_DIR / "orchard-expert", *model, *free])
                   for n in range(2)]
        addresses = ",".join(expert["grpc"] for expert in experts)
        flags = [flag for domain in bench_runs.demo.domains_of(MODEL)
                 for flag in ("--expert", f"{domain}={addresses}")]
        router = self.processes.start("router", bench_runs.demo.router_command(
            BIN_DIR, model, ["127.0.0.1:0"] * 3) + flags)
        self.prometheus = monitoring.Prometheus([router["metrics"]],
                                                [expert["metrics"] for expert in experts])
        self.prometheus.start()
        pictures = self.folder / "pictures"
        subprocess.run([BIN_DIR / "draw_pictures", pictures], check=True)
        with open(self.folder / "bench.log", "w", encoding="utf-8") as log:
            # All experts are asked, so that none of them has nothing to show.
            self.load = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", BIN_DIR / "orchard", "bench", "--server",
                 router["grpc"], "--concurrency", "2", "--policy", "dense", "--timeout", "30s",
                 "--duration", f"{4 * PATIENCE_S}s", pictures], stdout=log, stderr=log)

    def stop_experts(self):
        """Both of them; the router goes on."""
        for started in [one for one in self.processes.running if one[0].startswith("expert-")]:
            self.processes.running.remove(started)
            started[1].terminate()
            started[1].wait()
            started[1].stdout.close()

    def stop(self):
        if self.load:
            self.load.terminate()
            self.load.wait()
        if self.prometheus:
            self.prometheus.stop()
        self.processes.stop_all()


@unittest.skipUnless(shutil.which("prometheus"), "prometheus is missing: run ./dev deps")
@unittest.skipUnless(all((BIN_DIR / name).is_file() for name in PROGRAMS),
                     f"not built in {BIN_DIR}: {', '.join(PROGRAMS)}")
class FleetTest(unittest.TestCase):
    """Something to ask, for the tests below."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="orchard-boards-")
        cls.addClassCleanup(folder.cleanup)
        cls.fleet = Fleet(pathlib.Path(folder.name))
        cls.addClassCleanup(cls.fleet.stop)
        cls.fleet.start()

    def ask(self, expression):
        """[(labels, value)] of series that have a value: NaN is what a quantile of nothing is."""
        filled_in = monitoring.filled_in(expression, RATE_INTERVAL)
        return [(labels, value) for labels, value in self.fleet.prometheus.query(filled_in)
                if value == value]

    def eventually(self, missing):
        """Asks until `missing()` is empty, and returns what it is at the end."""
        deadline = time.monotonic() + PATIENCE_S
        while (left := missing()) and time.monotonic() < deadline:
            self.assertIsNone(self.fleet.load.poll(), "the load has ended")
            time.sleep(1)
        return left


class FaultTest(FleetTest):

    def test_experts_that_stop_under_load_raise_the_alarm_for_each_domain(self):
        def missing_load():
            return [] if any(value > 0 for _, value in self.ask("orchard:expert_load:rate5m")) else [1]
        self.assertEqual(self.eventually(missing_load), [])
        domains = set(bench_runs.demo.domains_of(MODEL))

        def missing_alarms():
            """Pending: two minutes later they would fire."""
            raised = {labels["domain"]
                      for labels, _ in self.ask('ALERTS{alertname="OrchardExpertDown"}')}
            return sorted(domains - raised)
        self.assertEqual(missing_alarms(), sorted(domains))
        self.fleet.stop_experts()
        self.assertEqual(self.eventually(missing_alarms), [])


class LiveBoardsTest(FleetTest):

    def test_every_query_of_every_board_is_answered(self):
        waiting = {}  # what it is called: query
        for path in sorted((tree.ROOT / "deploy/grafana").glob("*.json")):
            for panel in monitoring.board_panels(path.stem):
                for target in panel["targets"]:
                    name = f"{path.stem}: {panel['title']} {target['legendFormat']}"
                    self.ask(target["expr"])  # An error is raised here, whatever is empty.
                    if not may_be_empty(path.stem, panel, target):
                        waiting[name] = target["expr"]
        self.assertGreater(len(waiting), 80)

        def missing():
            for name, expression in list(waiting.items()):
                if self.ask(expression):
                    del waiting[name]
            return waiting

        left = self.eventually(missing)
        self.assertFalse(left, tree.report(f"{name} is empty: {query}" for name, query in left.items()))

    def test_every_recorded_series_is_there(self):
        def missing():
            return [name for name, rule in promql.rules("record").items()
                    if not self.ask(name)]
        self.assertEqual(self.eventually(missing), [])

    def test_rules_are_evaluated_without_errors_and_only_the_dead_mans_switch_fires(self):
        def missing():
            return [] if self.ask('ALERTS{alertname="OrchardWatchdog"}') else ["OrchardWatchdog"]
        self.assertEqual(self.eventually(missing), [])
        groups = self.fleet.prometheus.rules()
        faults = [f"{rule['name']}: {rule['lastError']}" for group in groups
                  for rule in group["rules"] if rule["health"] == "err"]
        self.assertFalse(faults, tree.report(faults))
        self.assertEqual(sum(len(group["rules"]) for group in groups),
                         sum(len(group["rules"]) for group in promql.groups()))
        firing = {labels["alertname"] for labels, _ in self.ask('ALERTS{alertstate="firing"}')}
        self.assertEqual(firing - OF_THE_MACHINE, {"OrchardWatchdog"})

    def test_panels_have_at_most_five_lines(self):
        faults = []
        for path in sorted((tree.ROOT / "deploy/grafana").glob("*.json")):
            for panel in monitoring.board_panels(path.stem):
                custom = panel["fieldConfig"]["defaults"]["custom"]
                if custom.get("stacking", {}).get("mode") == "normal":
                    continue
                lines = sum(len(self.ask(target["expr"])) for target in panel["targets"])
                if lines > FEW:
                    faults.append(f"{path.stem}: {panel['title']}: {lines} lines")
        self.assertFalse(faults, tree.report(faults))

    def test_shares_sum_to_one(self):
        """Twice: as the board asks, and as it is recorded."""
        share = next(panel["targets"][0]["expr"] for panel in monitoring.board_panels("routing")
                     if "share of each expert" in panel["title"])
        for query in (share, "orchard:expert_load_share:rate5m", "orchard:gate_share:rate5m"):
            with self.subTest(query):
                self.assertEqual(self.eventually(lambda: [] if self.ask(query) else [query]), [])
                self.assertAlmostEqual(sum(value for _, value in self.ask(query)), 1.0, places=6)

    def test_recorded_balance_is_what_the_router_says_itself(self):
        """All experts are asked of every picture: even, by both reckonings."""
        for recorded, own, even in [
                ("orchard:load_max_over_mean:rate5m", "orchard_window_load_max_over_mean", 1),
                ("orchard:load_cv_squared:rate5m", "orchard_window_load_cv_squared", 0),
                ("orchard:load_entropy:rate5m", "orchard_window_load_entropy", 1),
                ("orchard:balance_loss:rate5m", "orchard_window_balance_loss", 1)]:
            with self.subTest(recorded):
                for query in (recorded, own):
                    self.assertEqual(self.eventually(lambda: [] if self.ask(query) else [query]), [])
                    self.assertAlmostEqual(self.ask(query)[0][1], even, places=6)

    def test_scraped_names_are_those_of_the_documents(self):
        """docs/metrics.md is what rules and boards are held to; here it is held to the programs."""
        names = {name for name in self.fleet.prometheus.names()
                 if re.match(r"(orchard|process)_", name)}
        self.assertEqual(sorted(names - set(promql.listed_metrics())), [])


if __name__ == "__main__":
    unittest.main()
