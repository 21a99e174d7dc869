"""What several hosts are tried with: each function is one trial, on a network and a fleet of its own.

A trial prints what it measured, and fails (HostsError) when a picture was lost, or degraded where it need
not have been. Docs: docs/operations.md, "Several hosts: what was tried".
"""

import concurrent.futures
import contextlib
import dataclasses
import pathlib
import subprocess
import time

from hosts_fleet import HEADLESS, Fleet, Pace
from hosts_load import Load
from hosts_network import HostsError, Network

OLD, NEW = "1", "2"  # versions of the model; the second has another encoder
ROUTERS = ["router-1", "router-2"]
SIDE = 96  # of the pictures, pixels: what is tried here is not decoding
FIRST = 4  # pictures of each caller
BEFORE_A_CUT = 5  # a share of recent calls may be hedged, so there must be some


@dataclasses.dataclass(frozen=True)
class Stage:
    """What all trials share."""
    bin_dir: pathlib.Path
    folder: pathlib.Path  # for certificates
    model: pathlib.Path
    domains: list
    pictures: list  # files
    pace: Pace
    between: int  # pictures from one event to the next, at least
    callers: int  # programs that ask at a time
    batch: int  # pictures of one of them, before another one comes
    in_flight: int  # pictures of one of them at a time
    pick_up_s: float  # in which a changed name must be followed
    silence_s: float  # in which a host that is cut off must be out of use

    @classmethod
    def prepared(cls, bin_dir, folder, domains, **rest):
        """Models with so many of the small model's domains, pictures and certificates, below a folder."""
        model, drawn, tls = (folder / name for name in ("tiny", "pictures", "tls"))
        for command in ([bin_dir / "write_tiny_model", model, len(domains), OLD, NEW],
                        [bin_dir / "draw_pictures", drawn, SIDE]):
            subprocess.run([str(word) for word in command], check=True)
        tls.mkdir()
        return cls(bin_dir=bin_dir, folder=tls, model=model, domains=domains,
                   pictures=sorted(drawn.iterdir()), **rest)

    def load(self, fleet, servers, at_least, batch=None):
        return Load(fleet, servers, self.pictures, at_least, batch or self.batch, self.in_flight,
                    self.callers)

    @contextlib.contextmanager
    def fleet(self):
        with Network("hosts") as network:
            network.add("client")
            with Fleet(network, self.bin_dir, self.folder, self.model, self.pace) as fleet:
                yield fleet

    def routers(self, fleet):
        """Two routers that reach one expert of every domain, whose names are published."""
        for router in ROUTERS:
            fleet.router(router, OLD, self.domains)
        fleet.wait_ready(*ROUTERS)
        fleet.await_endpoints(ROUTERS, {domain: {"up": 1} for domain in self.domains})

    def experts(self, fleet, *first):
        """Hosts that serve the first domain, and one for all the others; publishes the first of them."""
        for host in first:
            fleet.expert(host, OLD, self.domains[:1])
        fleet.expert("others", OLD, self.domains[1:])
        fleet.wait_ready(*first, "others")
        fleet.publish(self.domains[0], first[:1])
        for domain in self.domains[1:]:
            fleet.publish(domain, ["others"])


def say(text):
    print(f"  {text}", flush=True)


def must_be_quick(stage, what, seconds):
    say(f"{what}: seen by both routers after {seconds:.1f} s")
    if seconds > stage.pick_up_s:
        raise HostsError(f"{what} took {seconds:.1f} s, more than {stage.pick_up_s} s")


def conclude(load, degraded=0):
    """Fails when a picture was lost, or more than so many were degraded."""
    say(load.summary())
    if load.failures or load.degraded > degraded:
        raise HostsError("; ".join(load.faults()))


def check_first(stage, fleet, router):
    """The first pictures of a router that says it is ready must be answered by all experts."""
    with stage.load(fleet, fleet.addresses([router]), FIRST, batch=FIRST) as load:
        load.go_on(FIRST)
    if load.failures or load.degraded:
        raise HostsError(f"{router} was ready: " + "; ".join(load.faults()))


def replicas(stage, pictures):
    """A domain grows from one replica to three and shrinks back."""
    domain = stage.domains[0]
    hosts = [f"{domain}-{number}" for number in (1, 2, 3)]
    with stage.fleet() as fleet, concurrent.futures.ThreadPoolExecutor(1) as aside:
        stage.experts(fleet, hosts[0])
        stage.routers(fleet)
        with stage.load(fleet, fleet.addresses(ROUTERS), pictures) as load:
            load.go_on(stage.between)
            for host in hosts[1:]:
                fleet.expert(host, OLD, [domain])
            fleet.wait_ready(*hosts[1:])
            fleet.publish(domain, hosts)
            must_be_quick(stage, "1 → 3 replicas", fleet.await_endpoints(ROUTERS, {domain: {"up": 3}}))
            load.go_on(stage.between)
            rows = [fleet.rows(host) for host in hosts]
            load.go_on(stage.between)
            shares = [fleet.rows(host) - before for host, before in zip(hosts, rows)]
            say("rows of each in what followed: " + ", ".join(f"{share:.0f}" for share in shares))
            if min(shares) == 0:
                raise HostsError("a new replica got no work")
            fleet.publish(domain, hosts[:1])
            seen = aside.submit(fleet.await_endpoints, ROUTERS, {domain: {"up": 1, "down": 0}})
            drained = fleet.retire(*hosts[1:])
            must_be_quick(stage, "3 → 1 replicas", seen.result())
            say(f"the two ended {drained:.1f} s after SIGTERM")
            load.go_on(stage.between)
        conclude(load)


def partition(stage, pictures):
    """One of two hosts of a domain is cut off without a word, and comes back."""
    domain = stage.domains[0]
    hosts = [f"{domain}-{number}" for number in (1, 2)]
    with stage.fleet() as fleet:
        stage.experts(fleet, *hosts)
        stage.routers(fleet)
        fleet.publish(domain, hosts)
        fleet.await_endpoints(ROUTERS, {domain: {"up": 2}})
        with stage.load(fleet, fleet.addresses(ROUTERS), pictures) as load:
            load.go_on(BEFORE_A_CUT * stage.between)
            fleet.network.cut(hosts[1])
            seconds = fleet.await_endpoints(ROUTERS, {domain: {"up": 1}})
            load.go_on(stage.between)
            lost = load.degraded
            say(f"cut off: not up any more at both routers after {seconds:.1f} s, as "
                + " and ".join(f"{count} {state}" for state, count in
                               fleet.endpoints(ROUTERS[0], domain).items() if count))
            say(f"degraded by then: {lost}; calls that another replica answered first: "
                f"{fleet.sum_of(ROUTERS, 'orchard_expert_hedges_total', domain=domain, result='won'):.0f}")
            if seconds > stage.silence_s:
                raise HostsError(f"that is more than {stage.silence_s} s")
            fleet.network.mend(hosts[1])
            seconds = fleet.await_endpoints(ROUTERS, {domain: {"up": 2}})
            say(f"healed: both addresses up again after {seconds:.1f} s")
            before = fleet.rows(hosts[1])
            load.go_on(stage.between)
            if fleet.rows(hosts[1]) == before:
                raise HostsError(f"{hosts[1]} is up and got no work")
        conclude(load, degraded=lost)


def roll(stage, pictures):
    """A model with another encoder rolls through: its experts beside the old ones, then routers, then the
    old experts go."""
    old, new = ({domain: f"{domain}-{side}" for domain in stage.domains} for side in ("a", "b"))
    with stage.fleet() as fleet, concurrent.futures.ThreadPoolExecutor(1) as aside:
        for domain, host in old.items():
            fleet.expert(host, OLD, [domain])
        fleet.wait_ready(*old.values())
        for domain, host in old.items():
            fleet.publish(domain, [host])
        stage.routers(fleet)
        with stage.load(fleet, fleet.addresses(ROUTERS), pictures) as load:
            begin = time.monotonic()
            load.go_on(stage.between)
            for domain, host in new.items():
                fleet.expert(host, NEW, [domain])
            fleet.wait_ready(*new.values())
            for domain in stage.domains:
                fleet.publish(domain, [old[domain], new[domain]])
            must_be_quick(stage, "the new set", fleet.await_endpoints(
                ROUTERS, {domain: {"up": 1, "foreign": 1} for domain in stage.domains}))
            for router in ROUTERS:
                drained = fleet.retire(router)
                fleet.router(router, NEW, stage.domains)
                fleet.wait_ready(router)
                check_first(stage, fleet, router)
                say(f"{router} replaced, drained in {drained:.1f} s")
                load.go_on(stage.between)
            for domain, host in new.items():
                fleet.publish(domain, [host])
            seen = aside.submit(fleet.await_endpoints, ROUTERS, {
                domain: {"up": 1, "foreign": 0, "down": 0} for domain in stage.domains})
            drained = fleet.retire(*old.values())
            must_be_quick(stage, "the old set gone", seen.result())
            say(f"the old set ended {drained:.1f} s after SIGTERM, "
                f"{time.monotonic() - begin:.0f} s after the roll's begin")
            load.go_on(stage.between)
        conclude(load)
        if sorted(load.versions) != [f"tiny/{OLD}", f"tiny/{NEW}"]:
            raise HostsError(f"answers are of {', '.join(load.versions) or 'no model'}")


def killed(stage, pictures):
    """One of two routers is killed, and started again."""
    with stage.fleet() as fleet:
        stage.experts(fleet, "first")
        stage.routers(fleet)
        with stage.load(fleet, fleet.addresses(ROUTERS), pictures) as load:
            for router in ROUTERS:
                load.go_on(stage.between)
                fleet.kill(router)
                load.go_on(stage.between)
                fleet.router(router, OLD, stage.domains)
                fleet.wait_ready(router)
                check_first(stage, fleet, router)
                say(f"{router} killed, and started again")
            load.go_on(stage.between)
        conclude(load)


def renewed(stage, pictures):
    """All routers make way for others at new addresses, one after another, behind the one name that the
    callers know."""
    others = ["router-3", "router-4"]
    with stage.fleet() as fleet:
        stage.experts(fleet, "first")
        stage.routers(fleet)
        for router in others:
            fleet.router(router, OLD, stage.domains)
        fleet.wait_ready(*others)
        fleet.network.publish(HEADLESS, ROUTERS)
        # Callers that stay: one that comes later asks for the name anew.
        with stage.load(fleet, [f"{HEADLESS}:8001"], pictures, batch=pictures) as load:
            load.go_on(stage.between)
            for number, router in enumerate(ROUTERS):
                fleet.network.publish(HEADLESS, ROUTERS[number + 1:] + others[:number + 1])
                fleet.retire(router)
                say(f"{router} made way for {others[number]}")
                load.go_on(stage.between)
        conclude(load)


TRIALS = {trial.__name__: trial for trial in (replicas, partition, roll, killed, renewed)}
