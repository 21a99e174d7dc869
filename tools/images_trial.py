"""What the images of tools/images can do: a router and two experts, each in namespaces of its own.

Every process is run as a container engine would run it: the image's own entry point, user and
environment, upon a root that can't be written, as the first process of its process namespace, and in a
network namespace that reaches its peers alone:

    client ──── router ──── expert-1 (half of the domains)
                      └──── expert-2 (the others)
"""

import json
import os
import pathlib
import re
import select
import shutil
import signal
import struct
import subprocess
import tempfile
import zlib

from images_store import ImagesError

READY_TIMEOUT_S = 120
STOP_TIMEOUT_S = 60
CLASSIFY_TIMEOUT_S = 120

# What a container engine does before the entry point, as root in namespaces of the process's own.
# Arguments: the root, a folder of pictures to show or "", the user, then the command.
INSIDE = r"""
set -e
root=$1 pictures=$2 user=$3; shift 3
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
[ -z "$pictures" ] || mount --bind -o ro "$pictures" "$root/pictures"
exec setpriv --no-new-privs chroot --userspec="$user" --groups= "$root" "$@"
"""


def draw(path):
    """A picture to ask about: an orange ball on white, as PNG."""
    size, radius = 256, 100
    rows = bytearray()
    for y in range(size):
        rows.append(0)  # no filter
        for x in range(size):
            away = ((x - size / 2) ** 2 + (y - size / 2) ** 2) ** 0.5
            light = 1 - 0.5 * away / radius
            rows += bytes((int(250 * light), int(150 * light), 20)) if away < radius else b"\xff\xff\xff"

    def chunk(kind, data):
        return (struct.pack(">I", len(data)) + kind + data
                + struct.pack(">I", zlib.crc32(kind + data)))

    path.write_bytes(b"\x89PNG\r\n\x1a\n"
                     + chunk(b"IHDR", struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0))
                     + chunk(b"IDAT", zlib.compress(bytes(rows))) + chunk(b"IEND", b""))


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True)


class Network:
    """A namespace a host, and a cable from the middle one to each of the others."""

    def __init__(self, middle, others):
        self.prefix = f"orchard-images-{os.getpid()}-"
        self.hosts = []
        self.middle = middle
        self.others = others

    def __enter__(self):
        try:
            for host in [self.middle, *self.others]:
                ip("netns", "add", self.namespace(host))
                self.hosts.append(host)
                ip("-n", self.namespace(host), "link", "set", "lo", "up")
            for number, host in enumerate(self.others):
                self.cable(number, host)
        except BaseException:
            self.__exit__()
            raise
        return self

    def cable(self, number, host):
        middle, end = self.namespace(self.middle), self.namespace(host)
        ip("-n", middle, "link", "add", f"port{number}", "type", "veth", "peer", "eth0", "netns", end)
        for namespace, device, address in [(middle, f"port{number}", self.address(host, 1)),
                                           (end, "eth0", self.address(host, 2))]:
            ip("-n", namespace, "address", "add", f"{address}/24", "dev", device)
            ip("-n", namespace, "link", "set", device, "up")

    def __exit__(self, *_):
        for host in self.hosts:
            subprocess.run(["ip", "netns", "delete", self.namespace(host)], check=False)

    def namespace(self, host):
        return self.prefix + host

    def address(self, host, side=2):
        """Of a host beside the middle; side 1 is the middle's end of the same cable."""
        return f"10.77.{self.others.index(host)}.{side}"


class Container:
    """One process of an image."""

    def __init__(self, network, host, root, config, arguments=(), pictures=None):
        self.host = host
        self.log = tempfile.TemporaryFile("w+", encoding="utf-8")
        # It dies with us, whatever becomes of us.
        command = ["setpriv", "--pdeathsig", "KILL", "ip", "netns", "exec", network.namespace(host),
                   "unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private",
                   "env", "-i", *config.get("Env", []), "PATH=" + os.environ["PATH"],
                   "sh", "-c", INSIDE, "sh", root, pictures or "", config["User"],
                   *config["Entrypoint"], *arguments]
        # A group of its own: Ctrl-C must not reach it before its turn.
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log, text=True,
                                        process_group=0)

    def said(self):
        self.log.seek(0)
        return self.log.read().strip()

    def wait_ready(self):
        """Returns when the ready line is there."""
        readable, _, _ = select.select([self.process.stdout], [], [], READY_TIMEOUT_S)
        line = self.process.stdout.readline() if readable else ""
        if " ready " not in line:
            raise ImagesError(f"{self.host} did not start: {line}{self.said()}")

    def program(self):
        """The process id of the entry point itself, child of what made its namespaces."""
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return int(children.read_text().split()[0])

    def powers(self):
        """What the kernel says about the process: {"Uid": …, "CapEff": …, "NoNewPrivs": …}."""
        status = pathlib.Path(f"/proc/{self.program()}/status").read_text()
        return dict(re.findall(r"^(Uid|Gid|CapEff|NoNewPrivs):\s+(\w+)", status, re.MULTILINE))

    def stop(self):
        """SIGTERM to the entry point, as an engine sends it; its exit code."""
        if self.process.poll() is None:
            try:
                os.kill(self.program(), signal.SIGTERM)
                self.process.wait(STOP_TIMEOUT_S)
            except (subprocess.TimeoutExpired, IndexError, OSError):
                self.process.kill()  # and --kill-child ends what is inside
                self.process.wait()
        self.process.stdout.close()
        return self.process.returncode


def output(network, host, root, config, arguments, pictures=None):
    """What a program of an image says that ends by itself."""
    container = Container(network, host, root, config, arguments, pictures)
    try:
        out, _ = container.process.communicate(timeout=CLASSIFY_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        container.stop()
        raise ImagesError(f"{host}: no answer within {CLASSIFY_TIMEOUT_S} s") from None
    if container.process.returncode != 0:
        raise ImagesError(f"{host}: exit code {container.process.returncode}: {out}{container.said()}")
    return out


def domains(root):
    """Of the model in an image, in its order."""
    folder = root / "opt/orchard/models/default"
    newest = max((p for p in folder.iterdir() if p.name.isdigit()), key=lambda p: int(p.name))
    manifest = json.loads((newest / "manifest.json").read_text(encoding="utf-8"))
    return [expert["domain"] for expert in manifest["experts"]]


def check_powers(container, user):
    """Fails when a process has more than its image's user."""
    found = container.powers()
    wanted = {"Uid": user, "Gid": user, "CapEff": "0" * 16, "NoNewPrivs": "1"}
    if found != wanted:
        raise ImagesError(f"{container.host} runs with {found}, not {wanted}")


def start(network, store, running):
    """The experts, then the router that asks them; returns the address of the router for clients."""
    expert, expert_config = store.mounted("expert")
    router, router_config = store.mounted("router")
    names = domains(expert)
    halves = {"expert-1": names[:len(names) // 2], "expert-2": names[len(names) // 2:]}
    targets = []
    for host, part in halves.items():
        flags = [word for name in part for word in ("--domain", name)]
        running.append(Container(network, host, expert, expert_config, flags))
        targets += [word for name in part
                    for word in ("--expert", f"{name}={network.address(host)}:8011")]
    for container in running:
        container.wait_ready()
    running.append(Container(network, "router", router, router_config, targets))
    running[-1].wait_ready()
    for container in running:
        check_powers(container, router_config["User"].split(":")[0])
    print(f"a router and two experts run from their images, {len(halves['expert-1'])} and "
          f"{len(halves['expert-2'])} domains; as {router_config['User']}, without capabilities, "
          "roots read-only")
    return f"{network.address('client', 1)}:8001"


def ask(network, store, server, picture):
    """Classifies a picture by the client's image, and prints the answer."""
    client, config = store.mounted("client")
    # An absolute path: chroot begins in /, where an engine begins in the image's working directory.
    command = ["classify", "--server", server, "--policy", "dense", f"/pictures/{picture.name}"]
    print(output(network, "client", client, config, command, picture.parent))
    answer = json.loads(output(network, "client", client, config, [*command, "--json"],
                               picture.parent))
    unasked = [d["domain"] for d in answer["routing"]["domains"] if not d["answered"]]
    if answer["degraded"] or unasked:
        raise ImagesError(f"no answer of {', '.join(unasked) or 'some experts'}: {json.dumps(answer)}")


def run(store, picture):
    """Fails unless the images work together."""
    running = []
    with tempfile.TemporaryDirectory() as folder, \
            Network("router", ["client", "expert-1", "expert-2"]) as network:
        pathlib.Path(folder).chmod(0o755)
        shown = pathlib.Path(folder, pathlib.Path(picture).name if picture else "ball.png")
        if picture:
            shutil.copyfile(picture, shown)
            shown.chmod(0o644)
        else:
            draw(shown)
        try:
            ask(network, store, start(network, store, running), shown)
        finally:
            codes = {container.host: container.stop() for container in reversed(running)}
            store.released()
        bad = [f"{host} (exit code {code})" for host, code in codes.items() if code != 0]
        if bad:
            raise ImagesError(f"did not end in order: {', '.join(bad)}")
