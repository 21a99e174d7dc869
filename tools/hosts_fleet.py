"""Orchard on hosts of its own (hosts_network.py): experts behind headless names, routers, and callers.

Everything speaks mutual TLS with certificates of one authority, by the names that the chart gives. A host
is a pod: what leaves is taken out of its name first, then waits, then gets SIGTERM, as the chart has it.
"""

import dataclasses
import subprocess
import time

import hosts_network
import metrics_page
from hosts_network import HostsError

FARM = "farm.svc"
POLL_S = 0.1
ROUTER, EXPERT, CLIENT = (f"orchard-{who}.{FARM}" for who in ("router", "expert", "client"))
HEADLESS = f"orchard-router-headless.{FARM}"  # has every router's address


@dataclasses.dataclass(frozen=True)
class Pace:
    """How long things take that take a while; the defaults are those of the programs and of the chart."""
    dns_interval_s: float = 5
    pre_stop_s: float = 5
    drain_delay_s: float = 1
    expert_timeout_s: float = 2
    patience_s: float = 120  # for a state that must come


class Authority:
    """Makes certificates that are good for both sides of a connection."""

    def __init__(self, folder):
        self.folder = folder
        self.openssl("req", "-x509", *self.fresh("ca"), "-subj", "/CN=farm", "-days", "2")

    def openssl(self, *arguments):
        run = subprocess.run(["openssl", *arguments], cwd=self.folder, capture_output=True, text=True,
                             check=False)
        if run.returncode != 0:
            raise HostsError(f"openssl {arguments[0]}: {run.stderr.strip()}")

    @staticmethod
    def fresh(name):
        return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key",
                "-out", f"{name}.crt"]

    def issue(self, name):
        """NAME.crt and NAME.key."""
        self.openssl("req", "-x509", "-CA", "ca.crt", "-CAkey", "ca.key", *self.fresh(name), "-days", "2",
                     "-subj", "/CN=farm", "-addext", f"subjectAltName=DNS:{name}",
                     "-addext", "basicConstraints=critical,CA:FALSE",
                     "-addext", "extendedKeyUsage=serverAuth,clientAuth")

    def flags(self, name, cert="--tls-cert", key="--tls-key", authority="--tls-ca"):
        """Flags of a program that shows the certificate of `name`."""
        return [cert, self.folder / f"{name}.crt", key, self.folder / f"{name}.key",
                authority, self.folder / "ca.crt"]


class Fleet:
    """What runs on a network's hosts; `with` ends all of it.

    `model`: a folder of versions. Experts listen at port 8011, routers at 8001.
    """

    def __init__(self, network, bin_dir, folder, model, pace=Pace()):
        self.network, self.bin_dir, self.model, self.pace = network, bin_dir, model, pace
        self.running = {}  # processes by host
        self.authority = Authority(folder)
        for name in (ROUTER, EXPERT, CLIENT):
            self.authority.issue(name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.running.values():
            process.signal(9)
            process.wait()

    def drain(self):
        return ["--drain-delay", f"{self.pace.drain_delay_s}s"]

    # --- coming -------------------------------------------------------------------------------------

    def start(self, host, program, *flags):
        """Starts a program on a host, which is made when there is none."""
        if host not in self.network.numbers:
            self.network.add(host)
        self.running[host] = hosts_network.Process(
            self.network, host, [self.bin_dir / program, *flags, *self.drain()])

    def expert(self, host, version, domains):
        self.start(host, "orchard-expert", "--model", self.model / version,
                   *[flag for domain in domains for flag in ("--domain", domain)],
                   "--listen", "0.0.0.0:8011", "--metrics-listen", "0.0.0.0:8012",
                   *self.authority.flags(EXPERT, authority="--tls-client-ca"),
                   "--tls-client-name", ROUTER, "--tls-client-name", EXPERT)

    def router(self, host, version, domains):
        self.start(host, "orchard-router", "--model", self.model / version,
                   *[flag for domain in domains
                     for flag in ("--expert", f"{domain}=dns:///{self.name(domain)}:8011")],
                   "--listen", "0.0.0.0:8001", "--metrics-listen", "0.0.0.0:8002",
                   "--http-listen", "0.0.0.0:8000", "--dns-interval", f"{self.pace.dns_interval_s}s",
                   "--expert-timeout", f"{self.pace.expert_timeout_s}s",
                   *self.authority.flags(ROUTER, authority="--tls-client-ca"),
                   *self.authority.flags(ROUTER, "--expert-tls-cert", "--expert-tls-key",
                                         "--expert-tls-ca"), "--expert-tls-name", EXPERT)

    def addresses(self, routers):
        """Where callers find them."""
        return [f"{self.network.address(router)}:8001" for router in routers]

    def wait_ready(self, *hosts):
        for host in hosts:
            self.running[host].wait_ready()

    @staticmethod
    def name(domain):
        """Of the headless Service of a domain's experts."""
        return f"orchard-expert-{domain.replace('_', '-')}.{FARM}"

    def publish(self, domain, hosts):
        self.network.publish(self.name(domain), hosts)

    # --- going --------------------------------------------------------------------------------------

    def retire(self, *hosts):
        """SIGTERM after the chart's preStop; fails unless all of them drain and exit with 0. Take
        their names away before. Returns the seconds from SIGTERM to the last one's end."""
        time.sleep(self.pace.pre_stop_s)  # not a wait for a state: it is what the chart does
        begin = time.monotonic()
        for host in hosts:
            self.running[host].signal(15)
        for host in hosts:
            process = self.running.pop(host)
            if process.wait(self.pace.patience_s) != 0:
                raise HostsError(f"{host} did not end in order: exit code {process.process.returncode}\n"
                                 f"{process.said()[-2000:]}")
        return time.monotonic() - begin

    def kill(self, host):
        process = self.running.pop(host)
        process.signal(9)
        process.wait()

    # --- looking ------------------------------------------------------------------------------------

    def metrics(self, host, port):
        """The page of a process on a host, as the client's host gets it."""
        with self.network.inside("client"):
            return metrics_page.page(f"{self.network.address(host)}:{port}", self.pace.patience_s)

    def series(self, host, port, metric):
        """[(labels, value)] of a metric."""
        return metrics_page.series(self.metrics(host, port), metric)

    def endpoints(self, router, domain):
        """{"up": 2, "down": 0, …}: how many of a domain's addresses are in each state."""
        return {labels["state"]: int(value)
                for labels, value in self.series(router, 8002, "orchard_expert_endpoints")
                if labels["domain"] == domain}

    def await_endpoints(self, routers, wanted):
        """Waits until each of the routers has {domain: {state: addresses}}, whatever it has in states that
        are not named. Returns the seconds."""
        begin = time.monotonic()
        for router in routers:
            for domain, states in wanted.items():
                while not states.items() <= (found := self.endpoints(router, domain)).items():
                    if time.monotonic() - begin > self.pace.patience_s:
                        raise HostsError(f"{router} has {found} of {domain} after "
                                         f"{self.pace.patience_s} s, not {states}")
                    time.sleep(POLL_S)
        return time.monotonic() - begin

    def sum_of(self, routers, metric, **labels):
        """Of all series of a metric on these routers that have the labels."""
        return sum(value for router in routers for series, value in self.series(router, 8002, metric)
                   if labels.items() <= series.items())

    def rows(self, expert):
        """That an expert has computed."""
        return sum(value for _, value in self.series(expert, 8012, "orchard_expert_server_rows_total"))
