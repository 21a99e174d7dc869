"""What a picture costs, and how far off the simulation of a fleet is: `./dev bench fleet`.

A real router on one core, its experts and the client on another, asked by `orchard bench`: first one
picture at a time, which gives the times that the simulation gets as its input (written to
bench/fleet/measured.json), then at several offered loads, each of which is simulated with them. As
root also the bytes of a picture on each hop, in network namespaces of its own.
"""

import json
import os
import re
import statistics
import subprocess
import time

import bench_runs
import hosts_network
import metrics_page

MEASURED = bench_runs.ROOT / "bench/fleet/measured.json"
DOMAIN = "fruit"          # What the loads ask for: its expert reads the map, the costlier kind.
REPLICAS = 2
QUIET_PICTURES = 120      # one at a time, before each load
DOMAIN_PICTURES = 100     # one at a time, of each other domain, once
PASS = 4                  # pictures of a full forward pass: the router's --max-batch
SECONDS = 6               # of one load
STEPS = (.3, .5, .7, .85, 1.0, 1.5)  # of the capacity
DEADLINE_S = 2
SEEDS = 25                # of one load, simulated for as long: chance must not blur the comparison
STAGES = ("receive", "decode", "encode", "combine")
QUANTILES = (("0", "min"), ("0.5", "p50"), ("0.9", "p90"), ("0.95", "p95"), ("0.99", "p99"),
             ("1", "max"))


def quantiles(stage, scale=1.0, less=0.0):
    """A stage of `orchard bench` as the simulation reads it; `less` ms of it are somebody else's."""
    points = {share: round(max(0.0, stage[name] - less) * scale, 4) for share, name in QUANTILES}
    return {"quantiles_ms": points}


def mean_of(times):
    """The mean that the simulation takes from quantiles: even between two."""
    points = sorted((float(share), ms) for share, ms in times["quantiles_ms"].items())
    return sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in zip(points, points[1:]))


def series(text):
    return sum(1 for line in text.splitlines() if line and not line.startswith("#"))


class Fleet:
    """A router on one core; experts of all domains on another, where the client is as well."""

    def __init__(self, build, prefix_router=(), prefix_expert=()):
        self.build = build
        self.experts = {}  # domain: [(metrics address, process)]
        flags = []
        for domain in build.domains:
            addresses = []
            for number in range(REPLICAS if domain == DOMAIN else 1):
                bound = build.processes.start(f"expert-{domain}-{number}", [
                    *prefix_expert, build.bin_dir / "orchard-expert", *build.model, "--domain",
                    domain, "--listen", bench_runs.FREE, "--metrics-listen", bench_runs.FREE])
                addresses.append(bound["grpc"])
                self.experts.setdefault(domain, []).append(
                    (bound["metrics"], build.processes.running[-1][1]))
            flags += ["--expert", f"{domain}={','.join(addresses)}"]
        self.bound, self.router = build.router(*flags, prefix=prefix_router)

    def expert_cpu(self, domain):
        return sum(bench_runs.cpu_seconds(process) for _, process in self.experts[domain])

    def expert_pages(self, domain):
        return [metrics_page.page(metrics) for metrics, _ in self.experts[domain]]

    def refused_cpu_ms(self, pictures, prefix):
        """CPU of a picture that is received and refused: it asks a domain that there is not."""
        before = bench_runs.cpu_seconds(self.router)
        said = self.build.load(self.bound["grpc"], "--domain", "nonesuch", "--concurrency", "4",
                               "--requests", str(pictures), prefix=prefix)
        if said["failed"] < pictures:
            raise bench_runs.BenchError(f"{said['ok']} pictures of no domain were answered")
        asked = said["planned"] + said["warmed_up"]
        return (bench_runs.cpu_seconds(self.router) - before) / asked * 1e3

    def quiet(self, domain, pictures, prefix):
        """One picture after another: what `orchard bench` says, with CPU and the expert's part."""
        before = [bench_runs.cpu_seconds(self.router), self.expert_cpu(domain),
                  self.expert_pages(domain)]
        said = self.build.load(self.bound["grpc"], "--domain", domain, "--concurrency", "1",
                               "--requests", str(pictures), prefix=prefix)
        after = [bench_runs.cpu_seconds(self.router), self.expert_cpu(domain),
                 self.expert_pages(domain)]
        asked = said["planned"] + said["warmed_up"]

        def grown(name):
            now, then = (sum(metrics_page.total(text, name, domain=domain) for text in pages)
                         for pages in (after[2], before[2]))
            return now - then

        rows = max(1.0, grown("orchard_expert_server_rows_total"))
        return said | {"router_cpu_ms": (after[0] - before[0]) / asked * 1e3,
                       "expert_cpu_ms": (after[1] - before[1]) / rows * 1e3,
                       "compute_ms": grown("orchard_expert_server_compute_seconds_sum") / rows * 1e3}


def router_costs(said, receive):
    """The router's part of a quiet run, as the simulation takes it. `receive`: CPU of a picture that
    is refused, ms; what is neither that nor decoding nor encoding counts as combining."""
    stages = said["stages_ms"]
    combine = said["router_cpu_ms"] - receive - stages["decode"]["mean"] - stages["encode"]["mean"]
    outside = said["latency_ms"]["p50"] - stages["total"]["p50"]
    return {"receive": round(receive, 4), "decode": quantiles(stages["decode"]),
            "encode": quantiles(stages["encode"]),
            "combine": round(max(stages["combine"]["mean"], combine), 4),
            "hop_ms": round(max(0.0, outside - receive) / 2, 4),
            "cpu_ms": round(said["router_cpu_ms"], 3)}


def expert_costs(said):
    """An expert's part: what computing takes, what a call takes besides, and the way there.

    The shape of computing is that of the whole call less the way, with the mean that the expert
    itself counted.
    """
    stage = said["stages_ms"]["experts"]
    compute = said["compute_ms"]
    call = max(0.0, said["expert_cpu_ms"] - compute)
    hop = max(0.0, (stage["p50"] - compute - call) / 2)
    shape = quantiles(stage, less=min(2 * hop + call, stage["min"] / 2))
    scale = compute / max(1e-6, mean_of(shape))
    return {"row": {"quantiles_ms": {share: round(ms * scale, 4)
                                     for share, ms in shape["quantiles_ms"].items()}},
            "call_ms": round(call, 4), "hop_ms": round(hop, 4), "compute_ms": round(compute, 4),
            "cpu_ms": round(said["expert_cpu_ms"], 4)}


def fixed_share(build):
    """The share of a pass of one picture that does not grow with the pictures."""
    run = bench_runs.run_json([build.bin_dir / "bench_model", "--benchmark_format=json",
                               "--benchmark_filter=BM_Encode/pictures:(1|4)$",
                               "--benchmark_repetitions=15", "--benchmark_min_time=0.1",
                               "--benchmark_enable_random_interleaving=true"])
    times = {1: [], 4: []}
    for row in run["benchmarks"]:
        if row["run_type"] == "iteration":
            times[int(re.search(r"pictures:(\d+)", row["name"])[1])].append(row["cpu_time"])
    # The quickest of many: what neighbours on the machine take makes it only slower.
    return round(min(1.0, max(0.0, 1 - (min(times[4]) / min(times[1]) - 1) / 3)), 3)


def plan_of(router, expert, encode_fixed, rate, seed):
    """The simulation's plan for what is measured here: as short as that, since near the limit a queue
    grows for longer."""
    return {"seed": seed, "warm_up_seconds": 1, "measured_seconds": SECONDS,
            "interval_seconds": SECONDS,
            "arrivals": {"rate": rate, "deadline_seconds": DEADLINE_S, "hop_ms": router["hop_ms"]},
            "domains": {DOMAIN: {"row": expert["row"], "replicas": REPLICAS}},
            "routers": {"count": 1, "cores": 1, "decode_workers": 1, "encode_workers": 1,
                        "encode_fixed": encode_fixed,
                        **{stage: router[stage] for stage in STAGES}},
            "pods": {"host_cores": 1, "call": expert["call_ms"], "hop_ms": expert["hop_ms"]}}


def capacity_of(router, _, encode_fixed):
    """Pictures a second of a core that never waits, with full passes."""
    encode = mean_of(router["encode"]) * (encode_fixed + (1 - encode_fixed) * PASS) / PASS
    return 1e3 / (router["receive"] + mean_of(router["decode"]) + encode + router["combine"])


def simulate(bin_dir, plan):
    run = subprocess.run([bin_dir / "fleet_simulation", "-"], input=json.dumps(plan), text=True,
                         capture_output=True, check=False)
    if run.returncode != 0:
        raise bench_runs.BenchError(f"fleet_simulation ended with {run.returncode}: {run.stderr}")
    return json.loads(run.stdout)


def figures_of(rate, p50, p99):
    return {"answered /s": rate, "p50 ms": p50, "p99 ms": p99}


def one_load(fleet, build, costs, rate, seed, prefix):
    """The same offered load, real and simulated: {figure: (real, simulated)}."""
    real = build.load(fleet.bound["grpc"], "--domain", DOMAIN, "--rate", f"{rate:.1f}", "--seed",
                      str(seed), "--timeout", f"{DEADLINE_S}s", "--duration", f"{SECONDS}s",
                      prefix=prefix)
    runs = [simulate(build.bin_dir, plan_of(*costs, rate, seed)) for seed in range(1, SEEDS + 1)]
    real = figures_of(real["ok_per_second"], real["latency_ms"]["p50"], real["latency_ms"]["p99"])
    simulated = figures_of(*(statistics.mean(values) for values in zip(*(
        (run["answered_per_second"], run["latency_ms"]["p50"], run["latency_ms"]["p99"])
        for run in runs))))
    return {name: (real[name], simulated[name]) for name in real}


def compare(fleet, build, encode_fixed, rounds, prefix):
    """A row a step, of all rounds, and all costs: they are measured anew before each load, because
    what the machine makes of a second changes from one to the next."""
    rows = {step: [] for step in STEPS}
    all_costs = []
    for number in range(rounds):
        receive = fleet.refused_cpu_ms(2 * QUIET_PICTURES, prefix)
        for step in STEPS:
            said = fleet.quiet(DOMAIN, QUIET_PICTURES, prefix)
            costs = (router_costs(said, receive), expert_costs(said), encode_fixed)
            all_costs.append(costs)
            rate = step * capacity_of(*costs)
            rows[step].append(one_load(fleet, build, costs, rate, number + 1, prefix))
            print(f"round {number + 1} of {rounds}, {step:g} × {rate / step:.0f}/s:",
                  {k: tuple(round(x, 1) for x in v) for k, v in rows[step][-1].items()}, flush=True)
    return rows, all_costs


def error_text(pairs):
    errors = sorted(100 * (simulated / real - 1) for real, simulated in pairs if real > 0)
    middle = statistics.median(errors)
    return f"{middle:+.0f} % ({errors[0]:+.0f} to {errors[-1]:+.0f})"


def table_of(rows, all_costs, rounds):
    capacities = sorted(capacity_of(*costs) for costs in all_costs)
    lines = [
        f"{bench_runs.processor()}; router on one core, two experts of {DOMAIN} and the client on "
        f"another; Poisson arrivals, deadline {DEADLINE_S} s, {SECONDS} s a load, {rounds} rounds. "
        f"Offered is in multiples of what the costs measured just before allow: "
        f"{statistics.median(capacities):.0f} pictures/s, {capacities[0]:.0f} to "
        f"{capacities[-1]:.0f}. Medians over rounds; the error is that of the simulation inside a "
        "round, median (smallest to largest).",
        "",
        "| offered | figure | real | simulated | error |",
        "|---|---|---|---|---|"]
    for step, pairs in rows.items():
        for name in pairs[0]:
            column = [pair[name] for pair in pairs]
            real, simulated = (statistics.median(values) for values in zip(*column))
            lines.append(f"| {step:g} × | {name} | {real:.1f} | {simulated:.1f} | "
                         f"{error_text(column)} |")
    return "\n".join(lines)


def link_bytes(namespace, link):
    """(received, sent) of a link, by its namespace."""
    said = subprocess.run(["ip", "-n", namespace, "-s", "-j", "link", "show", link],
                          capture_output=True, text=True, check=True).stdout
    counts = json.loads(said)[0]["stats64"]
    return counts["rx"]["bytes"], counts["tx"]["bytes"]


def wire_bytes(build, domain, pictures=100):
    """Bytes a picture: from the client, to it, to the expert, from it."""
    with hosts_network.Network("wire") as network:
        for host in ("client", "router", "experts"):
            network.add(host)

        def start(name, host, *command):
            return build.processes.start(name, network.command(host, [
                *command, "--listen", f"{network.address(host)}:0", "--metrics-listen",
                "127.0.0.1:0"]))["grpc"]

        def counts():
            middle = network.namespace(hosts_network.MIDDLE)
            return [link_bytes(middle, network.port(host)) for host in ("client", "experts")]

        expert = start("wire-expert", "experts", build.bin_dir / "orchard-expert", *build.model,
                       "--domain", domain)
        address = start("wire-router", "router", build.bin_dir / "orchard-router", *build.model,
                        "--expert", f"{domain}={expert}", "--http-listen", "127.0.0.1:0")
        command = network.command("client", build.command(
            address, "--domain", domain, "--concurrency", "1", "--requests", str(pictures),
            warm_up="0s"))
        bench_runs.run_json(command)  # Connections are made, caches filled.
        before = counts()
        said = bench_runs.run_json(command)
        time.sleep(0.2)
        after = counts()
        build.stop()
    if said["ok"] < pictures:
        raise bench_runs.BenchError(f"{pictures - said['ok']} of {pictures} pictures failed")
    grown = [[round((a - b) / pictures) for b, a in zip(*pair)] for pair in zip(before, after)]
    return {"request": grown[0][0], "response": grown[0][1], "to_expert": grown[1][1],
            "from_expert": grown[1][0]}


def measure(build, rounds):
    """The loads, and what measured.json is to hold."""
    cores = sorted(os.sched_getaffinity(0))
    router_core, other_core = (["taskset", "-c", str(cores[i])] for i in (0, -1))
    encode_fixed = fixed_share(build)
    fleet = Fleet(build, router_core, other_core)
    rows, all_costs = compare(fleet, build, encode_fixed, rounds, other_core)
    usual = sorted(all_costs, key=lambda costs: costs[0]["cpu_ms"])[len(all_costs) // 2]
    router_page = metrics_page.page(fleet.bound["metrics"])
    measured = {
        "machine": bench_runs.processor(),
        "pictures": bench_runs.pictures_text(build.images),
        "router": usual[0] | {
            "encode_fixed": encode_fixed,
            "capacity_a_core": round(statistics.median(capacity_of(*costs)
                                                       for costs in all_costs), 1),
            "private_mib": round(bench_runs.private_mib(fleet.router)),
            "series": series(router_page), "scrape_bytes": len(router_page)},
        "experts": {}}
    for domain in build.domains:
        costs = usual[1] if domain == DOMAIN else expert_costs(
            fleet.quiet(domain, DOMAIN_PICTURES, other_core))
        text = fleet.expert_pages(domain)[0]
        measured["experts"][domain] = costs | {
            "private_mib": round(bench_runs.private_mib(fleet.experts[domain][0][1])),
            "series": series(text), "scrape_bytes": len(text)}
    return rows, all_costs, measured


def table(build, rounds):
    """Measures, writes measured.json, and returns the comparison."""
    try:
        rows, all_costs, measured = measure(build, rounds)
        build.stop()
        if os.geteuid() == 0:
            measured["wire_bytes"] = {kind: wire_bytes(build, domain)
                                      for kind, domain in (("map", DOMAIN), ("pooled", "flower"))}
        elif MEASURED.exists():  # Bytes do not depend on the machine.
            measured["wire_bytes"] = json.loads(MEASURED.read_text(encoding="utf-8"))["wire_bytes"]
    finally:
        build.stop()
    MEASURED.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    return table_of(rows, all_costs, rounds)
