"""deploy/grafana: what is committed is what the generator writes, and follows the house's rules."""

import importlib.util
import json
import re
import subprocess
import sys
import tempfile
import pathlib
import unittest

from debian_yaml import yaml

import markdown
import promql
import tree

GRAFANA = tree.ROOT / "deploy/grafana"
BOARDS = {path.stem: json.loads(path.read_text(encoding="utf-8"))
          for path in sorted(GRAFANA.glob("*.json"))}
FEW = 5  # queries and lines of a panel
WIDTH = 24


def panels(board):
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def every_panel():
    """(board/title, panel) of all boards."""
    for name, board in BOARDS.items():
        for panel in panels(board):
            yield f"{name}/{panel['title']}", panel


def every_query():
    """(board/title, expression), those of variables and annotations as well."""
    for name, panel in every_panel():
        for target in panel["targets"]:
            yield name, target["expr"]
    for name, board in BOARDS.items():
        for note in board["annotations"]["list"]:
            yield f"{name}/annotations", note["expr"]
        for variable in board["templating"]["list"]:
            if variable["type"] == "query":
                yield f"{name}/${variable['name']}", re.sub(
                    r"label_values\((.*), *\w+\)", r"\1", variable["definition"])


class GeneratorTest(unittest.TestCase):

    def test_the_committed_boards_are_those_of_the_generator(self):
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([sys.executable, "-B", GRAFANA / "generate.py", folder], check=True)
            made = {path.name: path.read_text(encoding="utf-8")
                    for path in pathlib.Path(folder).glob("*.json")}
        committed = {path.name: path.read_text(encoding="utf-8") for path in GRAFANA.glob("*.json")}
        self.assertEqual(sorted(made), sorted(committed))
        for name, text in made.items():
            self.assertTrue(text == committed[name],
                            f"deploy/grafana/{name} is not what deploy/grafana/generate.py writes")

    def test_limits_come_from_the_rules(self):
        """The generator reads them from text; here they are read as YAML, from the expressions."""
        spec = importlib.util.spec_from_file_location("panels", GRAFANA / "panels.py")
        generator = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(generator)
        wanted = {}
        for name, rule in promql.rules("alert").items():
            found = re.search(r"([<>]=?) ([0-9.]+) +# limit", rule["expr"])
            wanted[name] = (found[1], float(found[2])) if found else (None, None)
        self.assertEqual(generator.LIMITS, wanted)


class PanelsTest(unittest.TestCase):

    def test_metrics_are_those_of_the_list(self):
        known = promql.all_known()
        faults = [f"{where}: {name} is neither in docs/metrics.md nor recorded"
                  for where, query in every_query() for name in promql.faults(query, known)]
        self.assertFalse(faults, tree.report(faults))

    def test_labels_are_those_of_the_metrics(self):
        """A label that a metric lacks makes a panel that is empty for ever."""
        listed = promql.listed_metrics()
        of_targets = {"job", "namespace", "instance"}
        faults = []
        for where, query in every_query():
            for name, matchers in re.findall(r"\b((?:orchard|process)_\w+)\{([^}]*)\}", query):
                if name not in listed:
                    continue  # Another test names it.
                for label in re.findall(r"(\w+)(?:=~|!~|!=|=)\"", matchers):
                    if label not in listed[name] | of_targets:
                        faults.append(f"{where}: {name} has no label {label}")
        self.assertFalse(faults, tree.report(faults))

    def test_panels_can_be_read(self):
        faults = []
        for where, panel in every_panel():
            if len(panel["targets"]) > FEW:
                faults.append(f"{where}: {len(panel['targets'])} queries, the limit is {FEW}")
            if not panel["title"].endswith(("?", ")")) or "?" not in panel["title"]:
                faults.append(f"{where}: the title is no question")
            if not panel["description"] or not panel["fieldConfig"]["defaults"]["unit"]:
                faults.append(f"{where}: no description or no unit")
            if panel["gridPos"]["x"] + panel["gridPos"]["w"] > WIDTH:
                faults.append(f"{where}: is wider than the grid")
            for target in panel["targets"]:
                for window in re.findall(r"\brate\([^[]*\[([^\]]*)\]", target["expr"]):
                    if window != "$__rate_interval":
                        faults.append(f"{where}: rate over {window}, not $__rate_interval")
        self.assertFalse(faults, tree.report(faults))

    def test_titles_and_numbers_are_unique_in_a_board(self):
        for name, board in BOARDS.items():
            numbers = [panel["id"] for panel in board["panels"]]
            titles = [panel["title"] for panel in panels(board)]
            self.assertEqual(len(set(numbers)), len(numbers), name)
            self.assertEqual(len(set(titles)), len(titles), name)
        uids = [board["uid"] for board in BOARDS.values()]
        self.assertEqual(sorted(uids), sorted(f"orchard-{name}" for name in BOARDS))

    def test_thresholds_are_those_of_the_alert_that_the_panel_links_to(self):
        rules = promql.rules("alert")
        faults, drawn = [], set()
        for where, panel in every_panel():
            link = panel["links"][0]
            steps = [step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]]
            if not link["title"].startswith("Runbook: "):
                if steps != [None]:
                    faults.append(f"{where}: has thresholds, but no alert")
                continue
            alert = link["title"].removeprefix("Runbook: ")
            drawn.add(alert)
            limit = re.search(r"[<>]=? ([0-9.]+) +# limit", rules[alert]["expr"])
            if steps != [None, float(limit[1])]:
                faults.append(f"{where}: thresholds {steps}, {alert} has {limit[1]}")
        # What has no number to draw, or shows on other panels: an expert that is down is an endpoint
        # state and a reason of missing ones.
        seen_elsewhere = {"OrchardWatchdog", "OrchardRouterAbsent", "OrchardExpertDown",
                          "OrchardAvailabilitySlowBurn", "OrchardLatencySlowBurn"}
        faults += [f"{alert}: no panel draws its limit"
                   for alert in sorted(set(rules) - drawn - seen_elsewhere)]
        self.assertFalse(faults, tree.report(faults))

    def test_links_lead_to_headings(self):
        faults = []
        for where, panel in every_panel():
            for link in panel["links"]:
                file, anchor = re.fullmatch(r"\$\{docs\}/([\w.-]+)#([\w-]+)", link["url"]).groups()
                path = tree.ROOT / "docs" / file
                if not path.exists() or anchor not in markdown.anchors(
                        path.read_text(encoding="utf-8")):
                    faults.append(f"{where}: docs/{file} has no heading #{anchor}")
        self.assertFalse(faults, tree.report(faults))


class ProvisioningTest(unittest.TestCase):

    def test_files_are_what_grafana_reads(self):
        sources = yaml.safe_load((GRAFANA / "provisioning/datasources/orchard.yaml").read_text())
        boards = yaml.safe_load((GRAFANA / "provisioning/dashboards/orchard.yaml").read_text())
        self.assertEqual((sources["apiVersion"], boards["apiVersion"]), (1, 1))
        self.assertEqual(sources["datasources"][0]["type"], "prometheus")
        self.assertEqual(boards["providers"][0]["type"], "file")
        # $__rate_interval is four times the interval that the data source is told.
        prometheus = yaml.safe_load((tree.ROOT / "deploy/prometheus/prometheus.yml").read_text())
        self.assertEqual(sources["datasources"][0]["jsonData"]["timeInterval"],
                         prometheus["global"]["scrape_interval"])


if __name__ == "__main__":
    unittest.main()
