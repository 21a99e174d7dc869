"""Plays KEDA's operator and the HorizontalPodAutoscaler that it makes, for ScaledObjects of the chart.

The arithmetic is here and pure; asking is tools/k8s_scaler.py's. As KEDA has it: a target at zero gets
its first replica as soon as its scaler says that it is active; after that the metric decides (value /
target, rounded up, where it differs by more than a tenth), within the bounds; down only to the most that
was wanted within the stabilisation window; and to zero when it was not active for the cooldown.
"""

import collections
import contextlib
import json
import math
import os

import hosts_network
from k8s_cluster import ROOT, ClusterError

HOST = "keda"
MOST_READ = 1 << 20
TOLERANCE = 0.1  # of the HorizontalPodAutoscaler
SCALER_PYTHON = "/usr/bin/python3"  # Debian's, which has python3-grpcio


class Target:
    """One ScaledObject: what it says, what was heard, and what follows. Time is an argument."""

    def __init__(self, described):
        spec = described["spec"]
        self.deployment = spec["scaleTargetRef"]["name"]
        self.least, self.most = spec["minReplicaCount"], spec["maxReplicaCount"]
        self.cooldown_s = spec["cooldownPeriod"]
        self.window_s = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"][
            "stabilizationWindowSeconds"]
        self.metadata = spec["triggers"][0]["metadata"]
        self.domain = self.metadata["domain"]
        self.active, self.active_at, self.value = False, None, None
        self.wanted = collections.deque()  # (time, replicas) within the window

    def hear(self, now, active=None, value=None):
        if active is not None:
            self.active = active
        if value is not None:
            self.value = value
        if self.active:
            self.active_at = now

    def replicas(self, current, now):
        """What the target should have that has `current`."""
        if self.active:
            self.active_at = now
        if current == 0:
            return max(1, self.least) if self.active else 0
        if not self.active and self.least == 0:
            if self.active_at is None:
                self.active_at = now  # Nothing was heard yet: the cooldown begins.
            if now - self.active_at >= self.cooldown_s:
                return 0
        return self.by_metric(current, now)

    def by_metric(self, current, now):
        if self.value is None:
            return current
        wanted = current if abs(self.value / current - 1) <= TOLERANCE else math.ceil(self.value)
        wanted = min(max(wanted, self.least, 1), self.most)
        self.wanted.append((now, wanted))
        while self.wanted[0][0] < now - self.window_s:
            self.wanted.popleft()
        return max(wanted, min(current, max(replicas for _, replicas in self.wanted)))


class Keda:
    """The operator. One thread: `tick` again and again."""

    def __init__(self, api, network, namespace, resolver):
        self.api, self.namespace = api, namespace
        found = api.items(f"/apis/keda.sh/v1alpha1/namespaces/{namespace}/scaledobjects")
        self.targets = {o["metadata"]["name"]: Target(o) for o in found}
        self.changes = []  # (time, domain, replicas)
        self.pushed = []  # (time, domain, active)
        network.add(HOST)
        (hosts_network.RESOLV / network.namespace(HOST) / "resolv.conf").write_text(resolver,
                                                                                   encoding="ascii")
        triggers = json.dumps({name: target.metadata for name, target in self.targets.items()})
        seconds = found[0]["spec"]["pollingInterval"]
        self.scaler = hosts_network.Process(
            network, HOST, [SCALER_PYTHON, "-B", ROOT / "tools/k8s_scaler.py", triggers, seconds])
        os.set_blocking(self.scaler.process.stdout.fileno(), False)
        self.partial = b""

    def path(self, target):
        return f"/apis/apps/v1/namespaces/{self.namespace}/deployments/{target.deployment}"

    def tick(self, now):
        self.listen()
        there = {d["metadata"]["name"]: d["spec"]["replicas"] for d in self.api.items(
            f"/apis/apps/v1/namespaces/{self.namespace}/deployments")}
        for target in self.targets.values():
            current = there[target.deployment]
            wanted = target.replicas(current, now)
            if wanted != current:
                self.api.merge(f"{self.path(target)}/scale", {"spec": {"replicas": wanted}})
                self.changes.append((now, target.domain, wanted))

    def listen(self):
        if self.scaler.process.poll() is not None:
            raise ClusterError(f"the caller of the external scaler ended: {self.scaler.said()}")
        with contextlib.suppress(BlockingIOError):
            self.partial += os.read(self.scaler.process.stdout.fileno(), MOST_READ)
        *lines, self.partial = self.partial.split(b"\n")
        for heard in map(json.loads, lines):
            target = self.targets[heard["name"]]
            if heard.get("active", target.active) != target.active:
                self.pushed.append((heard["at"], target.domain, heard["active"]))
            target.hear(heard["at"], heard.get("active"), heard.get("value"))

    def stop(self):
        self.scaler.stop()
