"""The files of deploy/prometheus: correct, documented, and every alert fires and stays silent."""

import pathlib
import re
import shutil
import subprocess
import unittest

from debian_yaml import yaml

import markdown
import promql
import tree

DEPLOY = tree.ROOT / "deploy/prometheus"
PROMTOOL, AMTOOL = shutil.which("promtool"), shutil.which("amtool")
SEVERITIES = {"page", "ticket", "none"}
RUNBOOK = "https://orchard.example/docs/operations.md#"
LIMIT = re.compile(r"[<>]=? [0-9.]+ +# limit")
# Alerts that are never silent, or that no number decides.
WITHOUT_LIMIT = {"OrchardWatchdog", "OrchardRouterAbsent"}
ALWAYS_FIRING = {"OrchardWatchdog"}


def run(*command):
    """(whether it is content, what it says; warnings only where it is not)."""
    done = subprocess.run(command, cwd=DEPLOY, capture_output=True, text=True, check=False)
    content = done.returncode == 0
    return content, done.stdout if content else done.stdout + done.stderr


def expectations():
    """{alert: {True, False}}: whether some test expects it to fire, and one to be silent."""
    found = {}
    for file in sorted((DEPLOY / "tests").glob("*.yaml")):
        for test in yaml.safe_load(file.read_text(encoding="utf-8"))["tests"]:
            for case in test.get("alert_rule_test", []):
                found.setdefault(case["alertname"], set()).add(bool(case.get("exp_alerts")))
    return found


@unittest.skipUnless(PROMTOOL, "promtool is missing: run ./dev deps")
class PromtoolTest(unittest.TestCase):

    def test_configurations_and_rules_are_correct(self):
        content, said = run(PROMTOOL, "check", "config", "prometheus.yml")
        self.assertTrue(content, said)
        self.assertIn("rule files found", said)

    def test_the_configuration_for_kubernetes_is_correct_but_for_discovery(self):
        """Debian builds Prometheus without Kubernetes: targets take the place of finding them."""
        config = yaml.safe_load((DEPLOY / "prometheus-kubernetes.yml").read_text(encoding="utf-8"))
        config["rule_files"] = [f"{DEPLOY}/{pattern}" for pattern in config["rule_files"]]
        for part in config["scrape_configs"] + config["alerting"]["alertmanagers"]:
            for discovery in part.pop("kubernetes_sd_configs"):
                self.assertEqual(discovery["role"], "pod")
                self.assertEqual([selector["role"] for selector in discovery["selectors"]], ["pod"])
            part["static_configs"] = [{"targets": ["pod:1"]}]
        with tree.planted({"prometheus.yml": yaml.safe_dump(config)}) as root:
            content, said = run(PROMTOOL, "check", "config", str(root / "prometheus.yml"))
        self.assertTrue(content, said)

    def test_both_configurations_have_the_jobs_that_rules_name(self):
        for name in ("prometheus.yml", "prometheus-kubernetes.yml"):
            config = yaml.safe_load((DEPLOY / name).read_text(encoding="utf-8"))
            self.assertEqual([part["job_name"] for part in config["scrape_configs"]],
                             ["orchard-router", "orchard-expert"])

    def test_rules_do_what_their_tests_say(self):
        tests = sorted(str(path) for path in (DEPLOY / "tests").glob("*.yaml"))
        self.assertTrue(tests)
        content, said = run(PROMTOOL, "test", "rules", *tests)
        self.assertTrue(content, said)

    def test_a_wrong_expectation_is_found(self):
        text = (DEPLOY / "tests/processes_test.yaml").read_text(encoding="utf-8")
        text = text.replace("../rules/", f"{DEPLOY}/rules/").replace("Alerting works", "Nothing works")
        with tree.planted({"wrong_test.yaml": text}) as root:
            content, said = run(PROMTOOL, "test", "rules", str(root / "wrong_test.yaml"))
        self.assertFalse(content)
        self.assertIn("OrchardWatchdog", said)


@unittest.skipUnless(AMTOOL, "amtool is missing: run ./dev deps")
class AlertmanagerTest(unittest.TestCase):

    FILE = str(DEPLOY / "alertmanager.yml")

    def test_the_example_is_correct(self):
        content, said = run(AMTOOL, "check-config", self.FILE)
        self.assertTrue(content, said)

    def test_severities_find_their_receivers(self):
        for labels, wanted in [(("severity=page", "alertname=OrchardExpertDown"), "pager"),
                               (("severity=ticket", "alertname=OrchardShedding"), "tickets"),
                               (("severity=none", "alertname=OrchardWatchdog"), "dead-mans-switch")]:
            with self.subTest(wanted):
                content, said = run(AMTOOL, "config", "routes", "test", f"--config.file={self.FILE}",
                                    *labels)
                self.assertTrue(content, said)
                self.assertEqual(said.strip(), wanted)

    def test_inhibitions_name_alerts_that_exist(self):
        text = pathlib.Path(self.FILE).read_text(encoding="utf-8")
        named = set(re.findall(r"Orchard[A-Z]\w+", text))
        self.assertEqual(sorted(named - set(promql.rules("alert"))), [])


class AlertsTest(unittest.TestCase):

    def test_every_alert_is_tested_firing_and_silent(self):
        expected = expectations()
        faults = []
        for alert in promql.rules("alert"):
            wanted = {True} if alert in ALWAYS_FIRING else {True, False}
            for fires in sorted(wanted - expected.get(alert, set())):
                faults.append(f"{alert}: no test in which it {'fires' if fires else 'is silent'}")
        faults += [f"{name}: is tested, but there is no such alert"
                   for name in sorted(set(expected) - set(promql.rules("alert")))]
        self.assertFalse(faults, tree.report(faults))

    def test_every_alert_says_how_grave_it_is_what_it_means_and_what_to_do(self):
        faults = []
        for name, rule in promql.rules("alert").items():
            notes = rule.get("annotations", {})
            if rule.get("labels", {}).get("severity") not in SEVERITIES:
                faults.append(f"{name}: severity is none of {sorted(SEVERITIES)}")
            for note in ("summary", "description"):
                if not notes.get(note):
                    faults.append(f"{name}: no {note}")
            if name not in WITHOUT_LIMIT and "$value" not in notes.get("description", ""):
                faults.append(f"{name}: the description does not say the value")
            if notes.get("runbook_url") != RUNBOOK + name.lower():
                faults.append(f"{name}: runbook_url is not {RUNBOOK}{name.lower()}")
            if not name.startswith("Orchard"):
                faults.append(f"{name}: does not begin with Orchard")
        self.assertFalse(faults, tree.report(faults))

    def test_every_limit_is_marked_once_for_the_boards(self):
        faults = [f"{name}: {len(LIMIT.findall(rule['expr']))} numbers are marked `# limit`, not "
                  f"{0 if name in WITHOUT_LIMIT else 1}"
                  for name, rule in promql.rules("alert").items()
                  if len(LIMIT.findall(rule["expr"])) != (0 if name in WITHOUT_LIMIT else 1)]
        self.assertFalse(faults, tree.report(faults))

    def test_every_alert_has_its_section_in_the_runbook(self):
        text = (tree.ROOT / "docs/operations.md").read_text(encoding="utf-8")
        runbook = text[text.index("\n## Runbook\n"):]
        headings = markdown.anchors(runbook)
        faults = [f"{name}: docs/operations.md has no heading for it under Runbook"
                  for name in promql.rules("alert") if name.lower() not in headings]
        for name in promql.rules("alert"):
            section = re.search(rf"^### {name}\n(.*?)(?=^##|\Z)", runbook, re.M | re.S)
            for part in ("**Meaning.**", "**Look.**", "**Mend.**"):
                if section and part not in section[1]:
                    faults.append(f"{name}: its section has no {part}")
        faults += [f"docs/operations.md: {name} is no alert"
                   for name in re.findall(r"^### (Orchard\w+)$", runbook, re.M)
                   if name not in promql.rules("alert")]
        self.assertFalse(faults, tree.report(faults))


class MetricsTest(unittest.TestCase):

    def test_rules_read_what_is_exported_or_recorded(self):
        known = promql.all_known()
        faults = [f"{rule['file']}: {rule.get('record') or rule.get('alert')}: {name} is neither in "
                  "docs/metrics.md nor recorded"
                  for group in promql.groups() for rule in group["rules"]
                  for name in promql.faults(rule["expr"], known)]
        self.assertFalse(faults, tree.report(faults))

    def test_recorded_series_are_named_and_read(self):
        boards = "".join(path.read_text(encoding="utf-8")
                         for path in (tree.ROOT / "deploy/grafana").glob("*.json"))
        read = {name for group in promql.groups() for rule in group["rules"]
                for name in promql.names(rule["expr"])}
        faults = []
        for name in promql.rules("record"):
            if not re.fullmatch(r"orchard:[a-z0-9_]+:[a-z0-9_]+", name):
                faults.append(f"{name}: is not orchard:<what>:<operation>")
            if name not in read and name not in boards:
                faults.append(f"{name}: nobody reads it")
        self.assertFalse(faults, tree.report(faults))

    def test_every_selector_of_ours_names_its_job(self):
        """Or a metric that both services have would be summed over both."""
        faults = []
        for group in promql.groups():
            for rule in group["rules"]:
                text = re.sub(r"#.*", "", rule["expr"])
                for name, labels in re.findall(r"\b(orchard_\w+|process_start\w+)(\{[^}]*\})?", text):
                    if "job=" not in labels:
                        faults.append(f"{rule.get('record') or rule.get('alert')}: {name} has no job")
        self.assertFalse(faults, tree.report(faults))


if __name__ == "__main__":
    unittest.main()
