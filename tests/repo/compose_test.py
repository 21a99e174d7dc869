"""docker/compose.yaml: valid to Docker Compose, and in step with the programs, the model and the images.

The schema is that of the docker-compose which Debian has: `docker-compose config` reads the file as
`up` would and needs no daemon.
"""

import json
import re
import shutil
import subprocess
import sys
import unittest

import docker_test
import tree

sys.path.insert(0, str(tree.ROOT / "tools"))
try:
    from debian_yaml import yaml
except ImportError:
    yaml = None

COMPOSE = shutil.which("docker-compose")
FILE = tree.ROOT / "docker/compose.yaml"
MANIFEST = tree.ROOT / "models/default/1/manifest.json"
PROGRAMS = {"orchard-router": "orchard-router", "orchard-expert": "orchard-expert",
            "orchard-client": "orchard"}  # by image


def complaint(file):
    """What Docker Compose has against a file; nothing when it would start it."""
    run = subprocess.run([COMPOSE, "-f", file, "config", "-q"], capture_output=True, text=True,
                         check=False, timeout=120)
    return "" if run.returncode == 0 else run.stderr.strip() or f"exit code {run.returncode}"


def hardening_faults(services):
    """Services that could do more than they must."""
    found = []
    for name, service in services.items():
        if service.get("read_only") is not True:
            found.append(f"{name}: its root can be written")
        if not re.match(r"[1-9]\d*:\d+$", str(service.get("user"))):
            found.append(f"{name}: runs as {service.get('user')}: say which user it is, not root")
        if service.get("cap_drop") != ["ALL"]:
            found.append(f"{name}: keeps capabilities")
        if "no-new-privileges:true" not in service.get("security_opt", []):
            found.append(f"{name}: may gain privileges")
        found += [f"{name}: port {port} is open to the network" for port in service.get("ports", [])
                  if not str(port).startswith("127.0.0.1:")]
    return found


@unittest.skipUnless(COMPOSE, "docker-compose is missing: run ./dev deps")
class SchemaTest(unittest.TestCase):

    def test_finds_what_compose_does_not_know(self):
        for text in ("services: {a: {image: x, colour: red}}\n",
                     "services: {a: {image: x, healthcheck: {test: 5}}}\n"):
            with tree.planted({"compose.yaml": text}) as root:
                self.assertTrue(complaint(root / "compose.yaml"), text)

    def test_the_file_is_valid(self):
        self.assertEqual(complaint(FILE), "")


@unittest.skipUnless(yaml, "python3-yaml is missing: run ./dev deps")
class ComposeTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.services = yaml.safe_load(FILE.read_text(encoding="utf-8"))["services"]
        cls.domains = [expert["domain"] for expert in json.loads(MANIFEST.read_text())["experts"]]

    def test_finds_services_that_could_do_more(self):
        found = hardening_faults({"a": {"user": "0:0", "ports": ["8001:8001"]}})
        self.assertEqual(len(found), 5, tree.report(found))

    def test_services_can_do_what_they_must_and_no_more(self):
        found = hardening_faults(self.services)
        self.assertFalse(found, tree.report(found))

    def test_every_domain_has_its_expert_and_the_router_knows_where(self):
        named = {name: service["command"] for name, service in self.services.items()
                 if service.get("image") == "orchard-expert"}
        self.assertEqual(named, {f"expert-{domain.replace('_', '-')}": [f"--domain={domain}"]
                                 for domain in self.domains})
        self.assertEqual(self.services["router"]["command"],
                         [f"--expert={domain}=dns:///expert-{domain.replace('_', '-')}:8011"
                          for domain in self.domains])

    def test_images_are_built_from_their_targets(self):
        dockerfile = (tree.ROOT / "docker/Dockerfile").read_text(encoding="utf-8")
        for name, service in self.services.items():
            if service["image"] in PROGRAMS:
                build = service["build"]
                self.assertEqual(service["image"], f"orchard-{build['target']}", name)
                self.assertIn(f" AS {build['target']}\n", dockerfile)
                context = (FILE.parent / build["context"]).resolve()
                self.assertTrue((context / build["dockerfile"]).is_file(), name)

    def test_health_is_asked_as_the_images_ask(self):
        dockerfile = (tree.ROOT / "docker/Dockerfile").read_text(encoding="utf-8")
        for name, service in self.services.items():
            if service["image"] in ("orchard-router", "orchard-expert"):
                word, *command = service["healthcheck"]["test"]
                self.assertEqual(word, "CMD")
                self.assertIn(f"CMD {json.dumps(command)}\n", dockerfile, name)

    def test_a_stop_waits_for_the_drain(self):
        for name, service in self.services.items():
            if service["image"] in ("orchard-router", "orchard-expert"):
                self.assertGreater(int(service["stop_grace_period"].rstrip("s")), 31, name)

    def test_flags_are_the_programs(self):
        skipped, found = set(), []
        for name, service in self.services.items():
            program = PROGRAMS.get(service["image"])
            wanted = {re.match(r"--[a-z-]+", word)[0] for word in
                      service.get("command", []) + service.get("healthcheck", {}).get("test", [])
                      if word.startswith("--")}
            if program and wanted and docker_test.known_flags(program) is None:
                skipped.add(program)
            elif program and wanted:
                found += docker_test.flag_faults(name, program, wanted)
        self.assertFalse(found, tree.report(found))
        if skipped:
            self.skipTest(f"not built: {', '.join(sorted(skipped))}")

    def test_prometheus_finds_every_service(self):
        config = yaml.safe_load((tree.ROOT / "docker/prometheus.yml").read_text(encoding="utf-8"))
        jobs = {job["job_name"]: job["dns_sd_configs"][0] for job in config["scrape_configs"]}
        experts = [name for name, service in self.services.items()
                   if service["image"] == "orchard-expert"]
        self.assertEqual(jobs["orchard-router"]["names"], ["router"])
        self.assertEqual(jobs["orchard-expert"]["names"], experts)
        self.assertEqual((jobs["orchard-router"]["port"], jobs["orchard-expert"]["port"]),
                         (8002, 8012))

    def test_files_that_are_shown_to_a_service_are_there(self):
        volumes = [volume.split(":")[0] for service in self.services.values()
                   for volume in service.get("volumes", [])]
        lost = {path for path in volumes
                if path.startswith(".") and not (FILE.parent / path).exists()}
        self.assertEqual(lost, set())


if __name__ == "__main__":
    unittest.main()
