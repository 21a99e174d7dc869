"""tools/hosts_network.py: hosts reach each other and names, until a cable is cut; nothing is left behind.

Needs root, iproute2 and dnsmasq; elsewhere it is skipped, and says why.
"""

import os
import pathlib
import socket
import subprocess
import sys
import unittest

import hosts_network

REASON = hosts_network.why_not()
PATIENCE_S = 120

# Listens, and sends back whatever comes.
ECHO = """
import socket
listener = socket.create_server(("0.0.0.0", 9))
print("echo ready tcp=0.0.0.0:9", flush=True)
while True:
    caller = listener.accept()[0]
    caller.sendall(caller.recv(100))
    caller.close()
"""

# What becomes of a connection to an address: "echo", or the error's name.
CALL = """
import socket, sys
try:
    with socket.create_connection((sys.argv[1], 9), timeout=float(sys.argv[2])) as server:
        server.sendall(b"echo")
        print(server.recv(100).decode())
except OSError as error:
    print(type(error).__name__ + f" {error.errno or ''}")
"""
UNREACHABLE = ("OSError 101", "OSError 113")
QUICK, PATIENT = "1", "60"  # seconds that a silent peer and an answering one get


@unittest.skipIf(REASON, REASON)
class HostsNetworkTest(unittest.TestCase):

    def setUp(self):
        self.network = self.enterContext(hosts_network.Network("test"))
        for host in ("one", "two"):
            self.network.add(host)

    def output(self, host, *command):
        run = subprocess.run(self.network.command(host, command), capture_output=True, text=True,
                             check=False, timeout=PATIENCE_S)
        return run.stdout.strip()

    def call(self, host, other, seconds=PATIENT):
        return self.output(host, sys.executable, "-c", CALL, self.network.address(other), seconds)

    def echo(self, host):
        process = hosts_network.Process(self.network, host, [sys.executable, "-c", ECHO])
        self.addCleanup(process.stop)
        self.assertEqual(process.wait_ready(), {"tcp": "0.0.0.0:9"})

    def addresses(self, name):
        lines = self.output("one", "getent", "ahostsv4", name).splitlines()
        return sorted({line.split()[0] for line in lines})

    def test_hosts_reach_each_other_until_a_cable_is_cut(self):
        self.echo("two")
        self.assertEqual(self.call("one", "two"), "echo")
        self.network.cut("two")
        self.assertEqual(self.call("one", "two", QUICK).strip(), "TimeoutError")
        self.network.mend("two")
        self.assertEqual(self.call("one", "two"), "echo")
        self.network.unplug("two")
        self.assertIn(self.call("one", "two"), UNREACHABLE)
        self.network.plug("two")
        self.assertEqual(self.call("one", "two"), "echo")

    def test_a_thread_may_step_inside(self):
        self.echo("two")
        here = pathlib.Path("/proc/thread-self/ns/net")
        home = here.readlink()
        with self.network.inside("one"), socket.create_connection(
                (self.network.address("two"), 9), timeout=PATIENCE_S) as server:
            server.sendall(b"echo")
            self.assertEqual(server.recv(100), b"echo")
            self.assertEqual(server.getsockname()[0], self.network.address("one"))
            self.assertNotEqual(here.readlink(), home)
        self.assertEqual(here.readlink(), home)

    def test_a_host_that_is_cut_off_reaches_nobody(self):
        self.echo("two")
        self.network.cut("one")
        self.assertEqual(self.call("one", "two", QUICK).strip(), "TimeoutError")

    def test_hosts_come_and_go(self):
        self.network.add("three")
        self.echo("three")
        address = self.network.address("three")
        self.assertEqual(self.call("one", "three"), "echo")
        self.network.remove("three")
        self.assertNotEqual(self.network.add("three"), address)
        self.assertIn("ConnectionRefusedError", self.call("one", "three"))

    def test_names_have_what_was_published_last(self):
        one, two = (self.network.address(host) for host in ("one", "two"))
        self.network.publish("rice.farm.svc", ["one", "two"])
        self.assertEqual(self.addresses("rice.farm.svc"), [one, two])
        self.network.publish("rice.farm.svc", ["two"])
        self.network.publish("nut.farm.svc", ["one"])
        self.assertEqual(self.addresses("rice.farm.svc"), [two])
        self.assertEqual(self.addresses("nut.farm.svc"), [one])
        self.network.publish("rice.farm.svc", [])
        self.assertEqual(self.addresses("rice.farm.svc"), [])
        self.assertEqual(self.addresses("localhost"), ["127.0.0.1"])

    def test_a_process_that_does_not_start_says_why(self):
        process = hosts_network.Process(self.network, "one", [
            sys.executable, "-c", "raise SystemExit('no model')"])
        with self.assertRaisesRegex(hosts_network.HostsError, "one did not start: no model"):
            process.wait_ready()
        self.assertEqual(process.stop(), 1)

    def test_networks_do_not_see_each_other(self):
        self.echo("two")
        with hosts_network.Network("other") as other:
            for host in ("one", "two"):
                self.assertEqual(other.add(host), self.network.address(host))
            self.assertIn("ConnectionRefusedError", self.output_of(other))

    def output_of(self, other):
        command = other.command("one", [sys.executable, "-c", CALL, other.address("two"), PATIENT])
        return subprocess.run(command, capture_output=True, text=True, check=False,
                              timeout=PATIENCE_S).stdout

    def test_nothing_is_left_behind(self):
        with hosts_network.Network("passing") as network:
            network.add("one")
            namespace = network.namespace("one")
            self.assertTrue((hosts_network.NETNS / namespace).exists())
        for folder in (hosts_network.NETNS, hosts_network.RESOLV):
            self.assertFalse((folder / namespace).exists())

    def test_what_a_killed_process_left_is_removed_by_the_next(self):
        code = ("import hosts_network, os\n"
                "network = hosts_network.Network('killed').__enter__()\n"
                "network.add('one')\n"
                "print(network.namespace('one'), flush=True)\n"
                "os.kill(os.getpid(), 9)\n")
        killed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False,
                                timeout=PATIENCE_S, env=os.environ | {
                                    "PYTHONPATH": str(pathlib.Path(hosts_network.__file__).parent)})
        left = killed.stdout.strip()
        self.assertTrue((hosts_network.NETNS / left).exists(), killed.stderr)
        with hosts_network.Network("next"):
            self.assertFalse((hosts_network.NETNS / left).exists())
            self.assertFalse((hosts_network.RESOLV / left).exists())


if __name__ == "__main__":
    unittest.main()
