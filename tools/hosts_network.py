"""Hosts with addresses of their own on one machine, for trying what several machines do.

A host is a network namespace. A cable goes from each to one in the middle, which forwards between them,
answers names, and leads nowhere else:

    client ───┐            ┌─── expert-1   10.77.0.4
    router ───┴── middle ──┴─── expert-2   10.77.0.5
    10.77.0.3    10.77.0.1

Names have the addresses that were published last, with a time to live of 0, and every other name is
denied: what a cluster's name server says of headless Services. Each host is a route of its own, so that a
cut one stays silent and no neighbour tells that it is gone.

Needs root and iproute2, and dnsmasq where names are published. Networks of several processes do not see
each other. What a killed process left behind is removed by the next one that makes a network.
"""

import contextlib
import ctypes
import os
import pathlib
import re
import select
import shutil
import signal
import subprocess
import tempfile
import time

NETNS = pathlib.Path("/run/netns")
RESOLV = pathlib.Path("/etc/netns")  # ip netns exec shows /etc/netns/NAMESPACE/* as /etc/*
MIDDLE = "middle"
MIDDLE_ADDRESS = "10.77.0.1"
NAMES_TIMEOUT_S = 30
READY_TIMEOUT_S = 120
STOP_TIMEOUT_S = 60
MOST_SAID = 1 << 24  # bytes of stderr that are looked at
CLONE_NEWNET = 0x40000000  # setns(2)


class HostsError(Exception):
    """What keeps hosts from being made or a process on one from running, in words for a person."""


def ip(*arguments):
    run = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if run.returncode != 0:
        raise HostsError(f"ip {' '.join(arguments)}: {run.stderr.strip() or run.returncode}")


def enter(namespace):
    """Puts the calling thread into a network namespace, given as an open file."""
    libc = ctypes.CDLL(None, use_errno=True)  # Python has os.setns from 3.12 on
    if libc.setns(namespace.fileno(), CLONE_NEWNET) != 0:
        raise HostsError(f"setns: {os.strerror(ctypes.get_errno())}")


def why_not():
    """What keeps hosts with names from being made here, or None."""
    if os.geteuid() != 0:
        return "not root: network namespaces can't be made"
    missing = [program for program in ("ip", "setpriv", "dnsmasq") if not shutil.which(program)]
    if missing:
        return f"there is no {' and no '.join(missing)}"
    try:
        with Network("probe") as network:
            network.add("host")
    except HostsError as error:
        return f"network namespaces can't be made: {error}"
    return None


def show_resolver(name):
    """Has what runs in a namespace ask the middle for names."""
    folder = RESOLV / name
    for _ in range(10):  # Another process may just remove RESOLV, as it was empty.
        with contextlib.suppress(FileNotFoundError):
            folder.mkdir(parents=True)
            break
    (folder / "resolv.conf").write_text(f"nameserver {MIDDLE_ADDRESS}\nsearch .\n", encoding="ascii")


def remove_namespace(name):
    """As much of it as is there."""
    shutil.rmtree(RESOLV / name, ignore_errors=True)
    with contextlib.suppress(OSError):
        RESOLV.rmdir()  # unless another one's is in it
    if (NETNS / name).exists():
        subprocess.run(["ip", "netns", "delete", name], check=False, stderr=subprocess.DEVNULL)


def remove_leftovers():
    """Namespaces of processes that are no more."""
    for folder in (NETNS, RESOLV):
        for name in [path.name for path in folder.iterdir()] if folder.is_dir() else []:
            owner = re.match(r"orchard-[a-z0-9]+-(\d+)-", name)
            if owner and not pathlib.Path("/proc", owner[1]).exists():
                remove_namespace(name)


class Network:
    """A middle and the hosts that `add` has put around it; `with` removes all of it.

    `purpose` is a word for the namespaces' names. Processes on hosts are killed with the thread that
    started them, so start them in one that stays.
    """

    def __init__(self, purpose):
        self.prefix = f"orchard-{purpose}-{os.getpid()}-"
        self.numbers = {}  # by host
        self.last = 1
        self.names = None

    def __enter__(self):
        remove_leftovers()
        try:
            ip("netns", "add", self.namespace(MIDDLE))
            ip("-n", self.namespace(MIDDLE), "address", "add", f"{MIDDLE_ADDRESS}/32", "dev", "lo")
            ip("-n", self.namespace(MIDDLE), "link", "set", "lo", "up")
            ip("netns", "exec", self.namespace(MIDDLE), "sh", "-c",
               "echo 1 >/proc/sys/net/ipv4/ip_forward")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.names:
            self.names.stop()
        for host in [*self.numbers, MIDDLE]:
            remove_namespace(self.namespace(host))

    def add(self, host):
        """A host with an address that none had before; returns the address."""
        if host in self.numbers or host == MIDDLE:
            raise HostsError(f"there is a host {host} already")
        self.last += 1
        self.numbers[host] = self.last
        namespace, middle, port = self.namespace(host), self.namespace(MIDDLE), self.port(host)
        ip("netns", "add", namespace)
        ip("-n", namespace, "link", "set", "lo", "up")
        ip("-n", middle, "link", "add", port, "type", "veth", "peer", "eth0", "netns", namespace)
        ip("-n", namespace, "address", "add", f"{self.address(host)}/32", "dev", "eth0")
        ip("-n", namespace, "link", "set", "eth0", "up")
        ip("-n", namespace, "route", "add", MIDDLE_ADDRESS, "dev", "eth0", "scope", "link")
        ip("-n", namespace, "route", "add", "default", "via", MIDDLE_ADDRESS)
        self.plug(host)
        show_resolver(namespace)
        return self.address(host)

    def remove(self, host):
        """Takes a host away whose processes have ended. Its names stay published."""
        subprocess.run(["ip", "-n", self.namespace(MIDDLE), "link", "delete", self.port(host)], check=False,
                       stderr=subprocess.DEVNULL)
        remove_namespace(self.namespace(host))
        del self.numbers[host]

    def namespace(self, host):
        return self.prefix + host

    def port(self, host):
        """The middle's end of its cable."""
        return f"port{self.numbers[host]}"

    def address(self, host):
        number = self.numbers[host]
        return f"10.77.{number // 256}.{number % 256}"

    # Cables. A plug that is pulled is noticed by everyone: who sends is told that the host can't be
    # reached. A cut one drops what comes and says nothing, like a firewall or a lost uplink.

    def unplug(self, host):
        ip("-n", self.namespace(MIDDLE), "link", "set", self.port(host), "down")

    def plug(self, host):
        ip("-n", self.namespace(MIDDLE), "link", "set", self.port(host), "up")
        ip("-n", self.namespace(MIDDLE), "route", "replace", self.address(host), "dev", self.port(host))

    def cut(self, host):
        for way in ("from", "to"):
            ip("-n", self.namespace(MIDDLE), "rule", "add", way, self.address(host), "blackhole")

    def mend(self, host):
        for way in ("from", "to"):
            ip("-n", self.namespace(MIDDLE), "rule", "delete", way, self.address(host), "blackhole")

    def publish(self, name, hosts):
        """From here on `name` has the addresses of these hosts; with none there is no such name."""
        if not self.names:
            self.names = Names(self)
        self.names.publish(name, [self.address(host) for host in hosts])

    @contextlib.contextmanager
    def inside(self, host):
        """Sockets that the calling thread makes in here are the host's; other threads stay where they are.
        For addresses: names are still this machine's. Start no processes in here."""
        with open("/proc/thread-self/ns/net", "rb") as home, \
                open(NETNS / self.namespace(host), "rb") as there:
            enter(there)
            try:
                yield
            finally:
                enter(home)

    def command(self, host, command):
        """`command`, as it runs on a host; it dies with the thread that starts it."""
        return ["setpriv", "--pdeathsig", "KILL", "ip", "netns", "exec", self.namespace(host), *command]


class Process:
    """A process on a host."""

    def __init__(self, network, host, command, name=None):
        self.name = name or host
        self.log = tempfile.TemporaryFile()
        self.last_words = ""
        # A group of its own: Ctrl-C must not reach it before its turn.
        self.process = subprocess.Popen(network.command(host, [str(word) for word in command]),
                                        stdout=subprocess.PIPE, stderr=self.log, text=True,
                                        process_group=0)

    def said(self):
        """What it has written to stderr so far."""
        if self.log.closed:
            return self.last_words
        # The file's position is that of the process too: read without moving it.
        return os.pread(self.log.fileno(), MOST_SAID, 0).decode(errors="replace").strip()

    def wait_ready(self):
        """Returns the addresses of its ready line when that is there: {"grpc": "10.77.0.3:8001", …}."""
        readable, _, _ = select.select([self.process.stdout], [], [], READY_TIMEOUT_S)
        line = self.process.stdout.readline() if readable else ""
        if " ready " not in line:
            raise HostsError(f"{self.name} did not start: {line}{self.said()}")
        return dict(re.findall(r"(\w+)=(\S+)", line))

    def program(self):
        """The process id of the program itself."""
        return self.process.pid

    def signal(self, number):
        """To the program, unless it has ended."""
        if self.process.poll() is None:
            with contextlib.suppress(OSError):
                os.kill(self.program(), number)

    def stop(self):
        """SIGTERM, and SIGKILL when that is not enough; its exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def wait(self, timeout_s=STOP_TIMEOUT_S):
        """Its exit code when it has ended by itself in this time; else it is killed."""
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.last_words = self.said()
        self.log.close()
        self.process.stdout.close()
        return self.process.returncode


class Names:
    """dnsmasq in the middle of a network: says what was published, and denies every other name."""

    def __init__(self, network):
        self.folder = tempfile.TemporaryDirectory(prefix="orchard-names-")
        self.hosts = pathlib.Path(self.folder.name, "hosts")
        self.addresses = {}  # by name
        self.write()
        self.process = Process(network, MIDDLE, [
            "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--log-facility=-",
            "--no-resolv", "--no-hosts", "--no-ping", "--local-ttl=0", "--address=/#/", "--bind-interfaces",
            f"--listen-address={MIDDLE_ADDRESS}", f"--pid-file={self.folder.name}/pid",
            f"--addn-hosts={self.hosts}"], name="dnsmasq")
        self.await_read(0)

    def write(self):
        lines = [f"{address} {name}\n" for name, several in self.addresses.items() for address in several]
        self.hosts.with_suffix(".new").write_text("".join(lines), encoding="ascii")
        self.hosts.with_suffix(".new").replace(self.hosts)

    def publish(self, name, addresses):
        self.addresses[name] = addresses
        self.write()
        before = self.times_read()
        self.process.signal(signal.SIGHUP)
        self.await_read(before)

    def times_read(self):
        return len(re.findall(rf"read {re.escape(str(self.hosts))} - \d+ names", self.process.said()))

    def await_read(self, before):
        deadline = time.monotonic() + NAMES_TIMEOUT_S
        while self.times_read() <= before:
            if self.process.process.poll() is not None or time.monotonic() > deadline:
                self.process.stop()
                raise HostsError(f"dnsmasq does not answer names: {self.process.said()}")
            time.sleep(0.02)

    def stop(self):
        self.process.stop()
        self.folder.cleanup()
