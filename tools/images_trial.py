"""What the images of tools/images can do: a router and two experts, each in namespaces of its own.

Every process is run as a container engine would run it: the image's own entry point, user and
environment, upon a root that can't be written, as the first process of its process namespace, and on a
host of its own (hosts_network.py): the client, the router, expert-1 with half of the domains, and
expert-2 with the others.
"""

import json
import os
import pathlib
import re
import shutil
import struct
import subprocess
import tempfile
import zlib

import hosts_network
from images_store import ImagesError

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


class Container(hosts_network.Process):
    """One process of an image."""

    def __init__(self, network, host, root, config, arguments=(), pictures=None):
        super().__init__(network, host, [
            "unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private",
            "env", "-i", *config.get("Env", []), "PATH=" + os.environ["PATH"],
            "sh", "-c", INSIDE, "sh", root, pictures or "", config["User"],
            *config["Entrypoint"], *arguments])

    def program(self):
        """The process id of the entry point itself, child of what made its namespaces."""
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        found = children.read_text().split()
        if not found:
            raise ProcessLookupError(f"{self.name} has no process")
        return int(found[0])

    def powers(self):
        """What the kernel says about the process: {"Uid": …, "CapEff": …, "NoNewPrivs": …}."""
        status = pathlib.Path(f"/proc/{self.program()}/status").read_text()
        return dict(re.findall(r"^(Uid|Gid|CapEff|NoNewPrivs):\s+(\w+)", status, re.MULTILINE))


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
        raise ImagesError(f"{container.name} runs with {found}, not {wanted}")


def check_health(network, host, root, config, port):
    """What HEALTHCHECK runs, in the container's network; and that it fails where nobody listens."""
    output(network, host, root, config, ["--probe", f"127.0.0.1:{port}"])
    try:
        output(network, host, root, config, ["--probe", "127.0.0.1:1"])
    except ImagesError:
        return
    raise ImagesError(f"{host}: --probe finds a healthy server on a port where nobody listens")


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
    check_health(network, "router", router, router_config, 8001)
    for host in halves:
        check_health(network, host, expert, expert_config, 8011)
    print(f"a router and two experts run from their images, {len(halves['expert-1'])} and "
          f"{len(halves['expert-2'])} domains; as {router_config['User']}, without capabilities, "
          "roots read-only; each is healthy by its own --probe")
    return f"{network.address('router')}:8001"


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


def run_trainer(store):
    """Fails unless the trainer's program starts in its image."""
    trainer, config = store.mounted("trainer")
    try:
        with hosts_network.Network("images") as network:
            network.add("trainer")
            print(output(network, "trainer", trainer, config, ["--version"]).strip())
    finally:
        store.released()


def run(store, picture):
    """Fails unless the images work together."""
    running = []
    with tempfile.TemporaryDirectory() as folder, \
            hosts_network.Network("images") as network:
        for host in ("client", "router", "expert-1", "expert-2"):
            network.add(host)
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
            codes = {container.name: container.stop() for container in reversed(running)}
            store.released()
        bad = [f"{host} (exit code {code})" for host, code in codes.items() if code != 0]
        if bad:
            raise ImagesError(f"did not end in order: {', '.join(bad)}")
