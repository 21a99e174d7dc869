"""Plays the kubelet, the container runtime, kube-proxy and the name server of a control plane without any.

Each pod that the scheduler has placed gets a host of its own (hosts_network.py) and, on it, the program of
this build that its image would hold, with the arguments, variables and ConfigMaps that the pod says. It is
Ready when the program has said so, and when it is deleted: its preStop sleep, SIGTERM, and it is gone when
the program is. Names have the addresses that the EndpointSlices, made by Kubernetes' own controller, call
ready. Not played: images, users, probes (the line of a program that is ready stands for them), limits, and
NetworkPolicies.
"""

import base64
import contextlib
import datetime
import pathlib
import select
import time

import hosts_network
from k8s_cluster import ApiRefusal, ClusterError

PROGRAMS = {"orchard-router": "orchard-router", "orchard-expert": "orchard-expert",
            "orchard-client": "orchard"}  # of an image
DOMAIN = "cluster.local"


def program_of(image):
    """The program in an image of ours: registry.example/orchard-expert:0.1.0 has orchard-expert."""
    name = image.rsplit("/", 1)[-1].split(":")[0]
    if name not in PROGRAMS:
        raise ClusterError(f"no program of ours is in the image {image}")
    return PROGRAMS[name]


def with_mounts(words, mounts):
    """Arguments as they read where a volume isn't mounted, but lies in a folder. `mounts`: folders by
    the paths at which the pod wants them."""
    for path, folder in mounts.items():
        words = [word.replace(f"{path}/", f"{folder}/") for word in words]
    return words


def ready_addresses(slices):
    """{service: sorted addresses of ready endpoints} of EndpointSlices."""
    found = {}
    for one in slices:
        addresses = found.setdefault(one["metadata"]["labels"]["kubernetes.io/service-name"], set())
        for endpoint in one.get("endpoints") or []:
            if endpoint.get("conditions", {}).get("ready"):
                addresses.update(endpoint["addresses"])
    return {service: sorted(addresses) for service, addresses in found.items()}


def resolver(namespace):
    """resolv.conf of a pod, as a kubelet writes it."""
    return (f"nameserver {hosts_network.MIDDLE_ADDRESS}\n"
            f"search {namespace}.svc.{DOMAIN} svc.{DOMAIN} {DOMAIN}\noptions ndots:5\n")


def stamp():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class Pod:
    """One pod and the process of the container that runs now."""

    def __init__(self, kubelet, described):
        self.kubelet = kubelet
        self.name = described["metadata"]["name"]
        self.spec = described["spec"]
        self.labels = described["metadata"]["labels"]
        self.address = kubelet.network.add(self.name)
        namespace = kubelet.network.namespace(self.name)
        (hosts_network.RESOLV / namespace / "resolv.conf").write_text(resolver(kubelet.namespace),
                                                                     encoding="ascii")
        self.mounts = self.mounted()
        self.left = [*self.spec.get("initContainers", []), *self.spec["containers"]]
        self.times = {"placed": time.monotonic()}
        self.term_at = None
        self.start_next()

    @property
    def path(self):
        return f"/api/v1/namespaces/{self.kubelet.namespace}/pods/{self.name}"

    def mounted(self):
        """The folders of ConfigMaps by the paths at which containers want them."""
        folders = {}
        for volume in self.spec.get("volumes", []):
            if "configMap" not in volume:
                raise ClusterError(f"{self.name}: only ConfigMaps are played, not the volume {volume}")
            folder = self.kubelet.work / self.name / volume["name"]
            folder.mkdir(parents=True)
            wanted = volume["configMap"]
            found = self.kubelet.api.call(
                "GET", f"/api/v1/namespaces/{self.kubelet.namespace}/configmaps/{wanted['name']}")
            data = {**{key: text.encode() for key, text in found.get("data", {}).items()},
                    **{key: base64.b64decode(text) for key, text in found.get("binaryData", {}).items()}}
            paths = {i["key"]: i["path"] for i in wanted.get("items", [])} or {key: key for key in data}
            for key, path in paths.items():
                (folder / path).write_bytes(data[key])
            folders[volume["name"]] = folder
        return {mount["mountPath"]: folders[mount["name"]]
                for container in [*self.spec.get("initContainers", []), *self.spec["containers"]]
                for mount in container.get("volumeMounts", [])}

    def start_next(self):
        self.container = self.left.pop(0)
        program = program_of(self.container["image"])
        variables = [f"{e['name']}={e['value']}" for e in self.container.get("env", [])]
        model = [] if program == "orchard" else ["--model", self.kubelet.model]
        self.times["started"] = time.monotonic()
        self.process = hosts_network.Process(
            self.kubelet.network, self.name,
            ["env", *variables, self.kubelet.bin_dir / program,
             *with_mounts(self.container.get("args", []), self.mounts), *model], name=self.name)

    def report(self, phase, ready):
        conditions = [{"type": kind, "status": str(ready), "lastTransitionTime": stamp()}
                      for kind in ("Initialized", "Ready", "ContainersReady")]
        with contextlib.suppress(ApiRefusal):  # It may be deleted already.
            self.kubelet.api.merge(f"{self.path}/status", {"status": {
                "phase": phase, "podIP": self.address, "podIPs": [{"ip": self.address}],
                "startTime": stamp(), "conditions": conditions}})

    def look(self):
        """What has become of its process since the last time."""
        if self.container is None:
            return
        code = self.process.process.poll()
        if code is None:
            if "ready" not in self.times and self.spec["restartPolicy"] != "Never":
                self.look_for_ready()
        elif self.spec["restartPolicy"] == "Never":
            said = self.process.said()
            self.process.wait()
            if code == 0 and self.left:
                self.start_next()
            else:
                self.container = None
                self.report("Succeeded" if code == 0 else "Failed", False)
                if code != 0:
                    raise ClusterError(f"{self.name} ended with {code}: {said}")
        elif self.term_at is None:
            raise ClusterError(f"{self.name} ended with {code}: {self.process.said()}")

    def look_for_ready(self):
        readable, _, _ = select.select([self.process.process.stdout], [], [], 0)
        if readable and " ready " in self.process.process.stdout.readline():
            self.times["ready"] = time.monotonic()
            self.report("Running", True)

    def end(self):
        """Goes on with the end of a pod that is deleted; true when it is over."""
        if self.term_at is None:
            hook = self.container and self.container.get("lifecycle", {}).get("preStop", {})
            self.term_at = time.monotonic() + (hook["sleep"]["seconds"] if hook else 0)
            self.terminated = False
        if self.container and self.process.process.poll() is None:
            if time.monotonic() >= self.term_at and not self.terminated:
                self.process.signal(hosts_network.signal.SIGTERM)
                self.terminated = True
            return False
        if self.container:
            code = self.process.wait()
            self.container = None
            if code != 0 and self.spec["restartPolicy"] != "Never":
                raise ClusterError(f"{self.name} ended with {code} when it was told to end")
        with contextlib.suppress(ApiRefusal):
            self.kubelet.api.call("DELETE", self.path, {"gracePeriodSeconds": 0})
        return True


class Kubelet:
    """All pods of a namespace. One thread: `tick` again and again."""

    def __init__(self, api, network, namespace, bin_dir, model, work):
        self.api, self.network, self.namespace = api, network, namespace
        self.bin_dir, self.model = bin_dir, model
        self.work = pathlib.Path(work)
        self.pods = {}  # by name
        self.published = {}  # {service: (addresses)}

    def tick(self):
        described = {p["metadata"]["name"]: p for p in self.api.items(
            f"/api/v1/namespaces/{self.namespace}/pods")}
        for name, pod in described.items():
            going = "deletionTimestamp" in pod["metadata"]
            if name not in self.pods and not going and pod["spec"].get("nodeName"):
                self.pods[name] = Pod(self, pod)
        for name, pod in list(self.pods.items()):
            gone = name not in described or "deletionTimestamp" in described[name]["metadata"]
            if not gone:
                pod.look()
            elif pod.end():
                del self.pods[name]
                self.network.remove(name)
        self.publish()

    def publish(self):
        found = ready_addresses(self.api.items(
            f"/apis/discovery.k8s.io/v1/namespaces/{self.namespace}/endpointslices"))
        hosts = {pod.address: name for name, pod in self.pods.items()}
        for service in found.keys() | self.published.keys():
            names = tuple(hosts[a] for a in found.get(service, []) if a in hosts)
            if names != self.published.get(service, ()):
                self.network.publish(f"{service}.{self.namespace}.svc.{DOMAIN}", names)
                self.published[service] = names

    def of(self, component, domain=None):
        """Pods of a component, those of a domain alone where one is given."""
        return [pod for pod in list(self.pods.values())
                if pod.labels.get("app.kubernetes.io/component") == component
                and domain in (None, pod.labels.get("orchard.dev/domain"))]

    def stop(self):
        """Ends every process, at once."""
        for pod in self.pods.values():
            if pod.container:
                pod.process.signal(hosts_network.signal.SIGTERM)
        for pod in self.pods.values():
            if pod.container:
                pod.process.stop()
        self.pods = {}
