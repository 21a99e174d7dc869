"""Callers on a host of their own: `orchard classify`, again and again, and what became of each picture."""

import collections
import json
import threading
import time

import hosts_network
from hosts_fleet import CLIENT, ROUTER

FAULTS_SHOWN = 5


class Load:
    """Classifies pictures while `with` lasts, and longer until there were `at_least` of them.

    `callers` programs run beside each other, each with `in_flight` pictures under way; all of them know
    `servers`, HOST:PORT. A program ends after `batch` pictures and the next one begins: so connections
    last, and new ones are made. Every expert is asked for every picture (the policy `dense`): one that
    is missing anywhere is a degraded answer.
    """

    def __init__(self, fleet, servers, pictures, at_least, batch, in_flight, callers):
        files = [str(pictures[i % len(pictures)]) for i in range(batch)]
        self.fleet, self.at_least = fleet, at_least
        self.command = [fleet.bin_dir / "orchard", "classify", "--json", "--top", "1", "--policy", "dense",
                        "--server", ",".join(servers), "--timeout", "60s", "--concurrency", str(in_flight),
                        "--tls-name", ROUTER, *fleet.authority.flags(CLIENT), *files]
        self.changed = threading.Condition()
        self.answered = 0
        self.degraded = 0
        self.missing = collections.Counter()  # answers by the expert that they lack, and why
        self.versions = collections.Counter()  # answers by the model that gave them
        self.failures = []
        self.latencies_ms = []
        self.stopping = False
        self.running = set()
        self.callers = [threading.Thread(target=self.guarded) for _ in range(callers)]

    def __enter__(self):
        self.begin = time.monotonic()
        for caller in self.callers:
            caller.start()
        return self

    def __exit__(self, kind, *_):
        with self.changed:
            self.stopping = True
            if kind:  # Something is wrong already: nothing more is to be learned.
                self.at_least = 0
                for process in self.running:
                    process.signal(9)
        for caller in self.callers:
            caller.join()
        self.seconds = time.monotonic() - self.begin

    def guarded(self):
        try:
            self.call()
        except Exception as error:  # A thread's own error would be seen by nobody.
            with self.changed:
                self.failures.append(repr(error))
                self.stopping = True
                self.changed.notify_all()

    # Each caller's thread starts its programs itself: they die with the thread that started them.
    def call(self):
        while True:
            with self.changed:
                if self.stopping and self.answered >= self.at_least:
                    return
                process = hosts_network.Process(self.fleet.network, "client", self.command)
                self.running.add(process)
            for line in process.process.stdout:
                self.count(json.loads(line))
            process.wait()
            with self.changed:
                self.running.discard(process)
                failures = process.said().splitlines()
                self.failures += failures
                if process.process.returncode != 0 and not failures:
                    self.failures.append(f"orchard ended with {process.process.returncode}")
                self.changed.notify_all()
                if failures:
                    self.stopping = True

    def count(self, answer):
        with self.changed:
            self.answered += 1
            self.versions[answer["model_version"]] += 1
            self.latencies_ms.append(answer["latency_ms"])
            if answer["degraded"]:
                self.degraded += 1
                for domain in answer["routing"]["domains"]:
                    if domain["activated"] and not domain["answered"]:
                        self.missing[f"{domain['domain']} ({domain['missing_reason']})"] += 1
            self.changed.notify_all()

    def go_on(self, pictures):
        """Waits until so many more were answered."""
        with self.changed:
            wanted = self.answered + pictures
            done = self.changed.wait_for(lambda: self.answered >= wanted or self.failures,
                                         self.fleet.pace.patience_s)
            if not done:
                raise hosts_network.HostsError(
                    f"fewer than {pictures} pictures in {self.fleet.pace.patience_s} s")

    def summary(self):
        """One line about all of it."""
        times = sorted(self.latencies_ms) or [0]
        versions = ", ".join(f"{count} by {name}" for name, count in sorted(self.versions.items()))
        return (f"{self.answered} pictures ({versions}) at {self.answered / self.seconds:.0f}/s: "
                f"{len(self.failures)} failed, {self.degraded} degraded; "
                f"p50 {times[len(times) // 2]:.0f} ms, p99 {times[len(times) * 99 // 100]:.0f} ms, "
                f"slowest {times[-1]:.0f} ms")

    def faults(self):
        """What went wrong with pictures, in lines."""
        return self.failures[:FAULTS_SHOWN] + [
            f"{count} answers without {what}" for what, count in self.missing.items()]
