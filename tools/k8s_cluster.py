"""A Kubernetes control plane on loopback, whose nodes are played by kwok.

etcd comes from Debian's package (unpacked, not installed: no service is started), everything else from
tools/cluster-tools. What the API server, its admission, the controllers and the scheduler do is real.
There is no kubelet: unless somebody else plays it, kwok says of each pod that it runs and is ready, and no
container is ever started.
"""

import contextlib
import http.client
import json
import os
import pathlib
import secrets
import socket
import ssl
import subprocess
import sys
import tempfile
import time

import chart_schemas
from debian_yaml import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "orchard"
START_TIMEOUT_S = 120
STOP_TIMEOUT_S = 20
CALL_TIMEOUT_S = 30
POLL_S = 0.1
UNTHROTTLED = ("--kube-api-qps=500", "--kube-api-burst=1000")  # Nobody else asks this server.
MOST_TOLD = 2000  # characters of a program's last words

KWOK_MODULE = ("sigs.k8s.io/kwok", "v0.8.0")
NODE_STAGES = ("node/fast/node-initialize.yaml", "node/heartbeat/node-heartbeat.yaml")
POD_STAGES = ("pod/fast/pod-ready.yaml", "pod/fast/pod-complete.yaml", "pod/fast/pod-delete.yaml")

# The pod of `helm test` ends well, because kwok's own stages end those of Jobs alone.
TEST_STAGE = {
    "apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": "Stage", "metadata": {"name": "helm-test-complete"},
    "spec": {
        "resourceRef": {"apiGroup": "v1", "kind": "Pod"},
        "selector": {
            "matchLabels": {"app.kubernetes.io/component": "client"},
            "matchExpressions": [
                {"key": ".metadata.deletionTimestamp", "operator": "DoesNotExist"},
                {"key": ".status.phase", "operator": "In", "values": ["Running"]}]},
        "next": {"statusTemplate": "phase: Succeeded"}}}
# Where pods are somebody else's, kwok must have a stage of pods that none of them is in, or it takes its
# own.
NO_POD_STAGE = {
    "apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": "Stage", "metadata": {"name": "no-pod"},
    "spec": {
        "resourceRef": {"apiGroup": "v1", "kind": "Pod"},
        "selector": {"matchLabels": {"orchard.dev/played-by": "kwok"}},
        "next": {"statusTemplate": "phase: Running"}}}


class ClusterError(Exception):
    """What keeps the control plane from working, or the chart from it, in words for a person."""


def run(*command, **options):
    """Runs a command and returns its output; a failure is a ClusterError with what it said."""
    try:
        done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False,
                              **options)
    except OSError as error:
        raise ClusterError(f"{pathlib.Path(command[0]).name} can't be run: {error.strerror}") from error
    if done.returncode != 0:
        said = "\n".join(filter(None, [done.stderr.strip(), done.stdout.strip()[-MOST_TOLD:]]))
        words = " ".join([pathlib.Path(command[0]).name, *map(str, command[1:])])
        raise ClusterError(f"{words[:120]} … exited {done.returncode}:\n{said}")
    return done.stdout


def tool(name):
    """The program's path; built first where it isn't there."""
    built = subprocess.run([ROOT / "tools/cluster-tools", name], stdout=subprocess.PIPE, text=True,
                           check=False)
    if built.returncode != 0:
        raise ClusterError(f"there is no {name}: the lines above say why")
    return built.stdout.strip()


def etcd():
    """Debian's etcd, unpacked once."""
    folder = CACHE / "cluster-tools/etcd"
    program = folder / "usr/bin/etcd"
    if not program.exists():
        print("unpacking Debian's etcd, once", file=sys.stderr)
        folder.mkdir(parents=True, exist_ok=True)
        unsandboxed = ["-o", "APT::Sandbox::User=root"] if os.geteuid() == 0 else []
        with tempfile.TemporaryDirectory(dir=folder) as work:
            run("apt-get", *unsandboxed, "download", "etcd-server", cwd=work)
            (package,) = pathlib.Path(work).glob("*.deb")
            run("dpkg", "-x", package, folder)
    return program


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def module_folder(module, version):
    try:
        return chart_schemas.module_folder(module, version)
    except (RuntimeError, OSError, ValueError) as error:
        raise ClusterError(f"Go's module {module} {version}: {error}") from error


class Api:
    """Calls of the API server over one connection. Not thread-safe: one for each thread."""

    def __init__(self, port, token):
        self.token = token
        self.connection = http.client.HTTPSConnection(
            "127.0.0.1", port, timeout=CALL_TIMEOUT_S, context=ssl._create_unverified_context())

    def call(self, method, path, body=None, kind="application/json"):
        """The JSON that it answers. Errors: ClusterError with the server's words."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": kind,
                   "Accept": "application/json"}
        text = None if body is None else json.dumps(body)
        for attempt in (1, 2):  # The server may just have closed the connection that was idle.
            try:
                self.connection.request(method, path, text, headers)
                answer = self.connection.getresponse()
                content = json.loads(answer.read() or b"{}")
                break
            except (http.client.HTTPException, OSError) as error:
                self.connection.close()
                if attempt == 2:
                    raise ClusterError(f"{method} {path}: {error}") from error
        if answer.status >= 400:
            raise ApiRefusal(f"{method} {path}: {content.get('message', answer.status)}", answer.status)
        return content

    def items(self, path):
        return self.call("GET", path)["items"]

    def merge(self, path, body):
        return self.call("PATCH", path, body, "application/merge-patch+json")


class ApiRefusal(ClusterError):
    """The API server said no; `code` is HTTP's."""

    def __init__(self, message, code):
        super().__init__(message)
        self.code = code


class Cluster:
    """Use as a context; `kubectl` and `kubeconfig` are for what runs inside.

    `plays_pods`: whether kwok plays the kubelet; without, pods stay as the scheduler leaves them.
    """

    def __init__(self, plays_pods=True, nodes=3):
        self.plays_pods = plays_pods
        self.nodes = nodes
        self.processes = []
        self.stack = contextlib.ExitStack()

    def __enter__(self):
        with contextlib.ExitStack() as undo:
            self.work = pathlib.Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="orchard-k8s-")))
            undo.callback(self.stop)
            self.start()
            self.stack = undo.pop_all()
        return self

    def __exit__(self, *exception):
        self.stack.close()

    def spawn(self, name, *command):
        with open(self.work / f"{name}.log", "w", encoding="utf-8") as log:
            process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *map(str, command)], stdout=log,
                stderr=subprocess.STDOUT, process_group=0)
        self.processes.append((name, process))

    def stop(self):
        for _, process in reversed(self.processes):
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def wait(self, what, condition, timeout_s=START_TIMEOUT_S):
        """What `condition()` gives, as soon as that is true. Says what was waited for, and whose process
        has ended."""
        deadline = time.monotonic() + timeout_s
        while not (found := condition()):
            self.check()
            if time.monotonic() > deadline:
                raise ClusterError(f"not within {timeout_s} s: {what() if callable(what) else what}")
            time.sleep(POLL_S)
        return found

    def check(self):
        """Fails when one of the processes has ended."""
        for name, process in self.processes:
            if process.poll() is not None:
                log = (self.work / f"{name}.log").read_text(encoding="utf-8", errors="replace")
                raise ClusterError(f"{name} ended with {process.returncode}:\n{log[-MOST_TOLD:]}")

    def kubectl(self, *arguments, **options):
        return run(self.kubectl_program, "--kubeconfig", self.kubeconfig, *arguments, **options)

    def api(self):
        """A connection of the caller's own."""
        return Api(self.port, self.token)

    def start(self):
        self.kubectl_program = tool("kubectl")
        self.write_credentials()
        client, peer = free_port(), free_port()
        self.port = free_port()
        self.spawn("etcd", etcd(), "--data-dir", self.work / "etcd", "--logger", "zap", "--log-level", "error",
                   # Nothing here is to outlive the run.
                   "--unsafe-no-fsync",
                   "--listen-client-urls", f"http://127.0.0.1:{client}",
                   "--advertise-client-urls", f"http://127.0.0.1:{client}",
                   "--listen-peer-urls", f"http://127.0.0.1:{peer}",
                   "--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}",
                   "--initial-cluster", f"default=http://127.0.0.1:{peer}")
        self.spawn("kube-apiserver", tool("kube-apiserver"),
                   f"--etcd-servers=http://127.0.0.1:{client}", "--bind-address=127.0.0.1",
                   f"--secure-port={self.port}", f"--cert-dir={self.work}/apiserver",
                   f"--token-auth-file={self.work}/tokens.csv", "--authorization-mode=RBAC",
                   f"--service-account-key-file={self.work}/sa.pub",
                   f"--service-account-signing-key-file={self.work}/sa.key",
                   "--service-account-issuer=https://kubernetes.default.svc",
                   "--service-cluster-ip-range=10.96.0.0/16", "--endpoint-reconciler-type=none",
                   # Needs an etcd that tells a watcher how far it is, as 3.4.23 doesn't: each watch of
                   # kwok would end in an error, and it would see pods half a minute late.
                   "--feature-gates=WatchList=false")
        self.write_kubeconfig()
        self.wait("an API server that is ready", self.api_is_ready)
        self.spawn("kube-controller-manager", tool("kube-controller-manager"),
                   f"--kubeconfig={self.kubeconfig}", "--leader-elect=false",
                   "--horizontal-pod-autoscaler-sync-period=2s", *UNTHROTTLED,
                   f"--service-account-private-key-file={self.work}/sa.key", f"--secure-port={free_port()}",
                   f"--cert-dir={self.work}/manager", "--bind-address=127.0.0.1")
        self.spawn("kube-scheduler", tool("kube-scheduler"), f"--kubeconfig={self.kubeconfig}",
                   "--leader-elect=false", *UNTHROTTLED, f"--secure-port={free_port()}",
                   f"--cert-dir={self.work}/scheduler", "--bind-address=127.0.0.1")
        self.start_nodes()

    def api_is_ready(self):
        try:
            self.kubectl("get", "--raw", "/readyz")
            return True
        except ClusterError:
            return False

    def write_credentials(self):
        self.token = secrets.token_hex(16)
        (self.work / "tokens.csv").write_text(f"{self.token},admin,admin,system:masters\n",
                                              encoding="utf-8")
        run("openssl", "genrsa", "-out", self.work / "sa.key", "2048")
        run("openssl", "rsa", "-in", self.work / "sa.key", "-pubout", "-out", self.work / "sa.pub")

    def write_kubeconfig(self):
        self.kubeconfig = self.work / "kubeconfig"
        self.kubeconfig.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": f"https://127.0.0.1:{self.port}",
                                                      "insecure-skip-tls-verify": True}}],
            "users": [{"name": "test", "user": {"token": self.token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        }), encoding="utf-8")
        self.kubeconfig.chmod(0o600)  # or helm warns

    def write_stages(self):
        stages = module_folder(*KWOK_MODULE) / "kustomize/stage"
        texts = [(stages / stage).read_text(encoding="utf-8")
                 for stage in NODE_STAGES + (POD_STAGES if self.plays_pods else ())]
        texts.append(yaml.safe_dump(TEST_STAGE if self.plays_pods else NO_POD_STAGE))
        file = self.work / "stages.yaml"
        file.write_text("\n---\n".join(texts), encoding="utf-8")
        return file

    def start_nodes(self):
        self.spawn("kwok", tool("kwok"), "--kubeconfig", self.kubeconfig, "--manage-all-nodes",
                   "--config", self.write_stages(), "--server-address", f"127.0.0.1:{free_port()}")
        room = {"cpu": "64", "memory": "256Gi", "pods": "500", "ephemeral-storage": "1Ti"}
        for number in range(self.nodes):
            self.kubectl("create", "-f", "-", input=json.dumps({
                "apiVersion": "v1", "kind": "Node",
                "metadata": {"name": f"node-{number}", "labels": {
                    "kubernetes.io/hostname": f"node-{number}",
                    "topology.kubernetes.io/zone": f"zone-{number % 3}"}},
                "status": {"allocatable": room, "capacity": room}}))
        api = self.api()
        self.wait("nodes that are ready", lambda: self.ready_nodes(api) == self.nodes)

    @staticmethod
    def ready_nodes(api):
        return sum(c["type"] == "Ready" and c["status"] == "True" for node in api.items("/api/v1/nodes")
                   for c in node.get("status", {}).get("conditions", []))

    def define(self):
        """Creates the custom resources' definitions, those of their projects."""
        for module, version, pattern in chart_schemas.CUSTOM:
            for file in sorted(module_folder(module, version).glob(pattern)):
                self.kubectl("create", "-f", file)
        self.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")

    def namespace(self, name):
        """One in which pods that break the standard `restricted` are not created, and Deployments of
        such are warned of."""
        self.kubectl("create", "namespace", name)
        self.kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted",
                     "pod-security.kubernetes.io/warn=restricted")
        api = self.api()
        self.wait("the namespace's service account",
                  lambda: api.items(f"/api/v1/namespaces/{name}/serviceaccounts"))
