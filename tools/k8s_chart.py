"""The chart on a control plane: what ./dev k8s-test chart does, step by step.

Every step fails with a ClusterError that names what was expected, and prints a line when it holds.
"""

import json
import subprocess
import sys
import time

import chart_render
from k8s_cluster import ROOT, ClusterError, run, tool

NAMESPACE = "orchard"
RELEASE = "orchard"
HELM_TIMEOUT = "180s"
PATIENCE_S = 180

# What a namespace of the standard `restricted` must not take, and what no server may take.
CARELESS = {
    "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "careless"},
    "spec": {"containers": [{"name": "c", "image": "none"}]}}
MISSPELT = {
    "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "misspelt"}, "dta": {}}
# Kinds whose objects come and go by themselves.
RESTLESS = ("events", "events.events.k8s.io", "leases.coordination.k8s.io")

# What values of goldens ask of the cluster, beyond what every cluster has.
NODE_LABELS = ("pool=routers", "nvidia.com/gpu.present=true")
CLAIM = [
    {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "models"},
     "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadOnlyMany"], "storageClassName": "",
              "hostPath": {"path": "/models"}, "claimRef": {"namespace": NAMESPACE, "name": "models"}}},
    {"apiVersion": "v1", "kind": "PersistentVolumeClaim",
     "metadata": {"name": "models", "namespace": NAMESPACE},
     "spec": {"accessModes": ["ReadOnlyMany"], "storageClassName": "", "volumeName": "models",
              "resources": {"requests": {"storage": "1Gi"}}}}]


class Step:
    """`with Step("what is done") as step: step.found("what came out")` prints both, and how long it took."""

    def __init__(self, what):
        self.what, self.result = what, ""

    def found(self, result):
        self.result = f": {result}"

    def __enter__(self):
        self.since = time.monotonic()
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            print(f"  {time.monotonic() - self.since:5.1f} s  {self.what}{self.result}", flush=True)


def values_of(name):
    file = chart_render.VALUES / f"{name}.yaml"
    return ["--values", file] if file.exists() else []


class ChartTest:

    def __init__(self, cluster):
        self.cluster = cluster
        self.api = cluster.api()

    def helm(self, *arguments):
        return run(tool("helm"), "--kubeconfig", self.cluster.kubeconfig, "--namespace", NAMESPACE,
                   *arguments)

    def all(self):
        self.prepare()
        self.lint()
        self.refusals()
        self.dry_runs()
        for name in chart_render.golden_names():
            self.install_and_remove(name)
        self.life()
        self.score()

    def prepare(self):
        with Step("custom resources are defined; the namespace enforces `restricted`"):
            self.cluster.define()
            self.cluster.namespace(NAMESPACE)
            self.cluster.kubectl("label", "nodes", "--all", *NODE_LABELS)
            for node in self.api.items("/api/v1/nodes"):
                self.api.merge(f"/api/v1/nodes/{node['metadata']['name']}/status", {"status": {
                    part: {"nvidia.com/gpu": "4"} for part in ("capacity", "allocatable")}})
            self.cluster.kubectl("create", "-f", "-", input=json.dumps(
                {"apiVersion": "v1", "kind": "List", "items": CLAIM}))

    def lint(self):
        names = chart_render.golden_names()
        with Step("helm lint --strict") as step:
            for name in names:
                chart_render.helm("lint", "--strict", "--quiet", chart_render.CHART, *values_of(name))
            step.found(f"{len(names)} sets of values")

    # What must be refused: without these, the rest might pass on a server that takes anything.

    def refusals(self):
        self.refused("a pod that breaks the standard `restricted`", "violates PodSecurity",
                     lambda: self.dry_run(json.dumps(CARELESS)))
        self.refused("an unknown field", "unknown field \"dta\"",
                     lambda: self.dry_run(json.dumps(MISSPELT)))
        self.refused("a value that the chart doesn't know", "inFlightLimit",
                     lambda: self.helm("install", RELEASE, chart_render.CHART,
                                       "--set", "router.inFlightLimit=5"))
        self.refused("TLS without Secrets", "tls.routerSecret",
                     lambda: self.helm("install", RELEASE, chart_render.CHART,
                                       "--set", "tls.enabled=true"))

    @staticmethod
    def refused(what, word, attempt):
        with Step(f"refused: {what}"):
            try:
                attempt()
            except ClusterError as error:
                if word not in str(error):
                    raise ClusterError(f"{what} was refused, but not with \"{word}\":\n{error}") from error
                return
            raise ClusterError(f"{what} was not refused")

    def dry_run(self, text):
        """How many objects the API server would take; a warning of it is a fault too."""
        done = subprocess.run(
            [self.cluster.kubectl_program, "--kubeconfig", self.cluster.kubeconfig, "--namespace", NAMESPACE,
             "apply", "--dry-run=server", "--validate=strict", "-f", "-"],
            input=text, capture_output=True, text=True, check=False)
        if done.returncode != 0 or "Warning" in done.stderr:
            raise ClusterError(f"refused by the API server:\n{done.stderr.strip()}")
        return len(done.stdout.splitlines())

    def dry_runs(self):
        for name in chart_render.golden_names():
            with Step(f"server-side dry run, {name}") as step:
                step.found(f"{self.dry_run(chart_render.template(*values_of(name)))} objects taken")
        with Step("server-side dry run, the Kustomize base") as step:
            done = self.dry_run((chart_render.KUSTOMIZE / "orchard.yaml").read_text(encoding="utf-8"))
            step.found(f"{done} objects taken")

    # Releases.

    def install_and_remove(self, name):
        before = self.objects()
        with Step(f"installed, {name}") as step:
            self.helm("install", RELEASE, chart_render.CHART, *values_of(name))
            step.found(f"{self.all_run()} pods Running")
        with Step(f"removed, {name}") as step:
            self.remove(before)
            step.found("nothing is left")

    def life(self):
        before = self.objects()
        with Step("helm install --wait") as step:
            self.install("install")
            step.found(f"{self.all_run(11)} pods Running")
        with Step("PodDisruptionBudgets, as the controller counts them") as step:
            step.found(self.budgets())
        with Step("helm test (its pod is taken and scheduled; that it succeeds is played)"):
            self.helm("test", RELEASE, "--timeout", HELM_TIMEOUT)
        with Step("upgrade: three pods of rice, another setting") as step:
            self.install("upgrade", "--set", "experts.rice.replicas=3",
                         "--set", "router.settings.in-flight=64")
            step.found(f"{self.all_run(13)} pods Running; {self.budgets()}")
        with Step("upgrade: a second set of experts") as step:
            self.install("upgrade", "--set", "expertSets.b.tag=0.2.0")
            step.found(f"{self.all_run(20)} pods Running")
        with Step("upgrade: HorizontalPodAutoscalers") as step:
            self.install("upgrade", "--set", "autoscaling.kind=cpu")
            step.found(self.autoscalers())
        with Step("rollback to the first release") as step:
            self.helm("rollback", RELEASE, "1", "--wait", "--timeout", HELM_TIMEOUT)
            step.found(f"{self.all_run(11)} pods Running")
        with Step("uninstall") as step:
            self.remove(before)
            step.found("nothing is left")

    def install(self, verb, *arguments):
        self.helm(verb, RELEASE, chart_render.CHART, "--wait", "--timeout", HELM_TIMEOUT, *arguments)

    def remove(self, before):
        self.helm("uninstall", RELEASE, "--wait", "--timeout", HELM_TIMEOUT)
        # Pods go after their Deployments.
        self.cluster.wait(lambda: "nothing is left; there is " + ", ".join(sorted(self.objects() - before)),
                          lambda: not self.objects() - before, PATIENCE_S)

    def objects(self):
        """Every object that lasts, in all namespaces."""
        kinds = self.cluster.kubectl("api-resources", "--verbs=list", "-o", "name").split()
        lines = self.cluster.kubectl(
            "get", ",".join(kind for kind in kinds if kind not in RESTLESS), "--all-namespaces", "--no-headers",
            "-o", "custom-columns=K:.kind,NS:.metadata.namespace,N:.metadata.name")
        return {" ".join(line.split()) for line in lines.splitlines()}

    def all_run(self, wanted=None):
        """Waits until all Deployments have what they want, all of it runs, and nothing else is there;
        returns how many pods."""
        def wants():
            return sum(d["spec"]["replicas"] for d in self.api.items(
                f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"))

        def pods():
            return self.api.items(f"/api/v1/namespaces/{NAMESPACE}/pods")

        def settled():
            there = pods()
            return len(there) == (wanted or wants()) and all(
                p["status"].get("phase") == "Running" and "deletionTimestamp" not in p["metadata"]
                for p in there)

        def missing():
            return f"{wanted or wants()} pods that run; there are " + ", ".join(
                f"{p['metadata']['name']} ({p['status'].get('phase')})" for p in pods())

        self.cluster.wait(missing, settled, PATIENCE_S)
        return wanted or wants()

    def budgets(self):
        """Waits until every budget knows its Deployment's pods and lets one go."""
        def counted():
            found = self.api.items(f"/apis/policy/v1/namespaces/{NAMESPACE}/poddisruptionbudgets")
            wanted = sum(d["spec"]["replicas"] for d in self.api.items(
                f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"))
            states = [b.get("status", {}) for b in found]
            return (all(s.get("disruptionsAllowed") == 1 for s in states) and
                    sum(s["expectedPods"] for s in states) == wanted and
                    sum(s["currentHealthy"] for s in states) == wanted and len(found))
        return f"{self.cluster.wait('budgets that count all pods', counted, PATIENCE_S)} let one pod go"

    def autoscalers(self):
        """Waits until each has seen its Deployment's scale; there are no metrics, and it says so."""
        def conditions(autoscaler):
            return {c["type"]: (c["status"], c["reason"])
                    for c in autoscaler.get("status", {}).get("conditions") or []}

        def seen():
            found = self.api.items(
                f"/apis/autoscaling/v2/namespaces/{NAMESPACE}/horizontalpodautoscalers")
            return found and all(
                conditions(a).get("AbleToScale") == ("True", "SucceededGetScale") and
                conditions(a).get("ScalingActive") == ("False", "FailedGetResourceMetric") and
                a["status"]["currentReplicas"] == 1 for a in found) and len(found)
        count = self.cluster.wait("autoscalers that see their Deployments", seen, PATIENCE_S)
        return f"{count} read their Deployment's scale, and miss only metrics"

    @staticmethod
    def score():
        with Step("kube-score") as step:
            done = subprocess.run([sys.executable, ROOT / "tools/chart", "score"], capture_output=True,
                                  text=True, check=False)
            if done.returncode != 0:
                raise ClusterError(f"kube-score: {done.stdout}{done.stderr}".strip())
            step.found(done.stdout.strip())
