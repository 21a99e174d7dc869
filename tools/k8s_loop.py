"""The closed loop: what ./dev k8s-test loop does.

The chart is installed on a control plane whose pods are real processes (tools/k8s_kubelet.py), and
scaled by the demand that the real router tells (tools/k8s_keda.py plays the operator). Pictures of one
domain come: its Deployment, and no other, grows, and the new process takes its share; they stop coming:
it is small again. And a picture of a domain that is at zero waits until its expert is started for it.
"""

import collections
import contextlib
import json
import statistics
import threading
import time

import bench_runs
import chart_render
import hosts_network
import k8s_keda
import k8s_kubelet
import metrics_page
from k8s_chart import HELM_TIMEOUT, RELEASE, Step
from k8s_cluster import Cluster, ClusterError, run, tool

demo = bench_runs.demo
NAMESPACE = "orchard"
CLIENT = "client"
SERVER = f"{RELEASE}-router.{NAMESPACE}.svc.{k8s_kubelet.DOMAIN}:8001"
TICK_S = 0.1
PATIENCE_S = 180
CALL_TIMEOUT_S = 10

# An expert is called full at little load, because two cores have to do all of it.
TARGET_UTILISATION = 0.03
DEMAND_WINDOW_S = 20
COOLDOWN_S = 10
SCALE_DOWN_S = 75  # longer than SETTLE_S and SHARE_S, or noise takes a replica away meanwhile
MOST_REPLICAS = 3
QUIET_RATE = 1.0  # pictures a second, to learn what a picture costs an expert
HOT_REPLICAS = 1.4  # that the load is to need: two
MOST_RATE = 20.0
LOAD_S = 10  # of one run of `orchard bench`
SETTLE_S = 30  # until what the router thinks of a new replica and of the old ones is alike
SHARE_S = 40  # over which it is looked at who does the work
WINDOWS = 4  # that may be tried until no replica comes or goes in one
MOST_UNEVEN = 1.2  # the busiest replica, in times of the mean


def values(cold):
    """Of the chart; the domain `cold` may go to zero."""
    return {
        "router": {"replicas": 1, "cpu": 1, "settings": {
            "target-utilisation": TARGET_UTILISATION, "demand-window": f"{DEMAND_WINDOW_S}s",
            "cold-start-wait": f"{DEMAND_WINDOW_S}s", "dns-interval": "1s"}},
        # A core each by their specification, which nothing here holds them to.
        "expertDefaults": {"maxReplicas": MOST_REPLICAS, "settings": {"workers": 1}},
        "experts": {cold: {"minReplicas": 0}},
        "autoscaling": {"kind": "keda", "pollingSeconds": 1, "cooldownSeconds": COOLDOWN_S,
                        "scaleDownSeconds": SCALE_DOWN_S},
    }


def pictures_by_domain(bin_dir, model):
    """{domain: pictures for which the gate asks it first}, the dearest expert's first, by a router that
    has all experts inside."""
    logs = bin_dir.parent / "k8s-logs"
    logs.mkdir(exist_ok=True)
    files, _ = demo.pictures(bin_dir)
    processes = demo.Processes(logs)
    try:
        embedded = processes.start("embedded", demo.router_command(
            bin_dir, ["--model", str(model)], ["127.0.0.1:0"] * 3) + ["--default-policy", "hard"])
        answers, _ = demo.classify(bin_dir, embedded["grpc"], files)
    finally:
        processes.stop_all()
    groups, times = collections.defaultdict(list), collections.defaultdict(list)
    for file, answer in sorted(answers.items()):
        domain = answer["predictions"][0]["domain"]
        groups[domain].append(file)
        times[domain].append(answer["stages_ms"]["experts"])
    if len(groups) < 2:
        raise ClusterError(f"the pictures are of {len(groups)} domain; two are needed: name others with "
                           "IMAGES=dir")
    return {domain: groups[domain]
            for domain in sorted(groups, key=lambda d: -statistics.median(times[d]))}


class Players(threading.Thread):
    """Whoever a cluster would have besides its control plane, one turn after the other."""

    def __init__(self, cluster, network, bin_dir, model):
        super().__init__(daemon=True)
        self.api = cluster.api()
        self.network = network
        self.kubelet = k8s_kubelet.Kubelet(self.api, network, NAMESPACE, bin_dir, model, cluster.work / "pods")
        self.keda = None
        self.keda_wanted, self.over = threading.Event(), threading.Event()
        self.fault = None

    def run(self):
        try:
            while not self.over.wait(TICK_S):
                self.kubelet.tick()
                if self.keda_wanted.is_set() and not self.keda:
                    self.keda = k8s_keda.Keda(self.api, self.network, NAMESPACE,
                                              k8s_kubelet.resolver("keda"))
                if self.keda:
                    self.keda.tick(time.monotonic())
        except Exception as error:  # Told by `check`, on the thread that waits.
            self.fault = error
        finally:
            self.kubelet.stop()
            if self.keda:
                self.keda.stop()

    def check(self):
        if self.fault:
            raise self.fault

    def stop(self):
        self.over.set()
        self.join()


class Traffic(threading.Thread):
    """Pictures at a rate, until `stop`; counts what became of them."""

    def __init__(self, network, bin_dir, files, rate):
        super().__init__(daemon=True)
        self.command = network.command(CLIENT, [
            bin_dir / "orchard", "bench", "--json", "--server", SERVER, "--policy", "hard", "--rate",
            f"{rate:.3f}", "--warmup", "0s", "--duration", f"{LOAD_S}s", *files])
        self.over = threading.Event()
        self.counts = collections.Counter()
        self.fault = None

    def run(self):
        try:
            while not self.over.is_set():
                said = bench_runs.run_json(self.command)
                for key in ("planned", "ok", "degraded"):
                    self.counts[key] += said[key]
        except Exception as error:
            self.fault = error

    def stop(self):
        """{"planned", "ok", "degraded"}: how many."""
        self.over.set()
        self.join()
        if self.fault:
            raise ClusterError(f"orchard bench: {self.fault}")
        return self.counts


class LoopTest:

    def __init__(self, cluster, network, bin_dir, model, groups):
        self.cluster, self.network, self.bin_dir, self.groups = cluster, network, bin_dir, groups
        self.hot, self.cold = list(groups)[:2]
        self.api = cluster.api()
        self.players = Players(cluster, network, bin_dir, model)

    def all(self):
        self.cluster.define()
        self.cluster.namespace(NAMESPACE)
        self.players.start()
        try:
            self.install()
            self.grow_and_shrink()
            self.from_zero()
            self.others_stayed()
        finally:
            self.players.stop()

    def wait(self, what, condition, timeout_s=PATIENCE_S):
        def checked():
            self.players.check()
            return condition()
        return self.cluster.wait(what, checked, timeout_s)

    def helm(self, *arguments):
        return run(tool("helm"), "--kubeconfig", self.cluster.kubeconfig, "--namespace", NAMESPACE,
                   *arguments)

    def replicas(self, domain):
        found = self.api.items(f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
                               f"?labelSelector=orchard.dev/domain={domain}")
        return sum(d["spec"]["replicas"] for d in found)

    def ready(self, domain):
        return [pod for pod in self.players.kubelet.of("expert", domain)
                if "ready" in pod.times and pod.term_at is None]

    def metrics(self, pod, port):
        with self.network.inside(CLIENT):
            return metrics_page.page(f"{pod.address}:{port}", CALL_TIMEOUT_S)

    def router_gauge(self, name, **labels):
        (router,) = self.players.kubelet.of("router")
        return metrics_page.total(self.metrics(router, 8002), name, **labels)

    def rows(self, pods):
        """Pictures that each pod's expert has scored, by the pod's name."""
        return {pod.name: metrics_page.total(self.metrics(pod, 8012), "orchard_expert_server_rows_total")
                for pod in pods}

    # The steps.

    def install(self):
        with Step("installed; router and experts are processes with their pods' arguments") as step:
            file = self.cluster.work / "values.yaml"
            file.write_text(json.dumps(values(self.cold)), encoding="utf-8")
            self.helm("install", RELEASE, chart_render.CHART, "--values", file, "--wait", "--timeout",
                      HELM_TIMEOUT)
            step.found(f"{len(self.players.kubelet.pods)} pods Ready")
        with Step("helm test, for real"):
            self.helm("test", RELEASE, "--timeout", HELM_TIMEOUT)
        self.players.keda_wanted.set()
        with Step(f"nobody asks for {self.cold}: its Deployment goes to zero"):
            self.wait(f"{self.cold} at zero", lambda: not self.players.kubelet.of("expert", self.cold))

    def grow_and_shrink(self):
        with Step(f"a few pictures of {self.hot}, to see what one takes") as step:
            traffic = Traffic(self.network, self.bin_dir, self.groups[self.hot], QUIET_RATE)
            traffic.start()
            self.wait("a service time", lambda: self.router_gauge("orchard_expert_service_seconds", domain=self.hot))
            traffic.stop()
            service_s = self.router_gauge("orchard_expert_service_seconds", domain=self.hot)
            rate = HOT_REPLICAS * TARGET_UTILISATION / service_s
            step.found(f"{1000 * service_s:.1f} ms of an expert's core")
        if rate > MOST_RATE:
            raise ClusterError(f"{self.hot} would need {rate:.0f} pictures a second to be full; with more than "
                               f"{MOST_RATE:.0f} the router itself is. Pictures of another domain: IMAGES=dir")
        traffic = Traffic(self.network, self.bin_dir, self.groups[self.hot], rate)
        traffic.start()
        with Step(f"{rate:.1f} pictures of {self.hot} a second: its Deployment grows") as step:
            self.wait(f"more than one {self.hot}", lambda: self.router_gauge(
                "orchard_expert_endpoints", domain=self.hot, state="up") > 1)
            desired = self.router_gauge("orchard_expert_desired_replicas", domain=self.hot)
            step.found(f"{self.replicas(self.hot)} replicas, {desired:.2f} desired")
        with Step(f"each replica takes its share, over {SHARE_S} s") as step:
            step.found(self.shares())
        counts = traffic.stop()
        print(f"         of {counts['planned']} pictures {counts['ok']} answered, {counts['degraded']} of "
              "them degraded", flush=True)
        if counts["ok"] != counts["planned"] or counts["degraded"]:
            raise ClusterError(f"pictures were lost or degraded: {dict(counts)}")
        with Step(f"no more pictures of {self.hot}: one replica again"):
            self.wait(f"one {self.hot}", lambda: len(self.players.kubelet.of("expert", self.hot)) == 1)

    def shares(self):
        """Over a window in which no replica came or went."""
        give_up = time.monotonic() + WINDOWS * (SETTLE_S + SHARE_S)
        while time.monotonic() < give_up:
            pods = self.ready(self.hot)

            def same_for(seconds, pods=pods):
                def settled():
                    return pods == self.ready(self.hot) and len(pods) == self.replicas(self.hot)
                until = time.monotonic() + seconds
                self.wait("the end of the window", lambda: time.monotonic() > until or not settled())
                return settled()

            if not same_for(SETTLE_S):
                continue
            before = self.rows(pods)
            if same_for(SHARE_S):
                after = self.rows(pods)
                done = [after[name] - before[name] for name in before]
                uneven = max(done) * len(done) / sum(done)
                if uneven > MOST_UNEVEN:
                    raise ClusterError(f"replicas did {done} pictures: the busiest {uneven:.2f} times the mean")
                return (f"{' and '.join(f'{d:.0f}' for d in done)} pictures, the busiest "
                        f"{uneven:.2f} times the mean")
        raise ClusterError(f"replicas of {self.hot} came and went all the time: {self.scaled()}")

    def scaled(self):
        return ", ".join(f"{domain} → {replicas}" for _, domain, replicas in self.players.keda.changes)

    def from_zero(self):
        keda = self.players.keda
        pushed, changed = len(keda.pushed), len(keda.changes)
        with Step(f"a picture of {self.cold}, which has no pod") as step:
            since = time.monotonic()
            answer = json.loads(run(*self.network.command(CLIENT, [
                str(self.bin_dir / "orchard"), "classify", "--json", "--server", SERVER, "--policy", "hard",
                "--timeout", "60", self.groups[self.cold][0]])))
            answered = time.monotonic()
            if answer["degraded"] or answer["predictions"][0]["domain"] != self.cold:
                raise ClusterError(f"answered without {self.cold}: {answer}")
            step.found("answered by it")
        (pod,) = self.ready(self.cold)
        moments = [("IsActive pushed", keda.pushed[pushed][0]), ("scale patched", keda.changes[changed][0]),
                   ("pod placed", pod.times["placed"]), ("process started", pod.times["started"]),
                   ("process ready", pod.times["ready"]), ("answer", answered)]
        if [keda.pushed[pushed][1:], keda.changes[changed][1:]] != [(self.cold, True), (self.cold, 1)]:
            raise ClusterError(f"not what brought it: {keda.pushed[pushed:]} {keda.changes[changed:]}")
        print("         seconds from the picture: " +
              ", ".join(f"{what} {at - since:.2f}" for what, at in moments), flush=True)
        with Step(f"nobody asks for {self.cold} again: zero"):
            self.wait(f"{self.cold} at zero", lambda: not self.players.kubelet.of("expert", self.cold))

    def others_stayed(self):
        with Step("no other Deployment was scaled") as step:
            scaled = {domain for _, domain, _ in self.players.keda.changes}
            grown = {domain for _, domain, replicas in self.players.keda.changes if replicas > 1}
            if grown != {self.hot} or scaled - {self.hot, self.cold}:
                raise ClusterError(f"scaled: {self.players.keda.changes}")
            step.found(f"{self.hot} and {self.cold} alone, by {self.scaled()}")


def loop(bin_dir, model):
    missing = hosts_network.why_not()
    if missing:
        raise ClusterError(missing)
    with contextlib.ExitStack() as stack:
        with Step("whose the pictures are") as step:
            groups = pictures_by_domain(bin_dir, model)
            step.found(", ".join(f"{len(files)} of {domain}" for domain, files in sorted(groups.items())))
        with Step("a control plane and three nodes are ready"):
            cluster = stack.enter_context(Cluster(plays_pods=False))
        network = stack.enter_context(hosts_network.Network("k8s"))
        network.add(CLIENT)
        LoopTest(cluster, network, bin_dir, model, groups).all()
