"""The simulations of docs/scale.md: plans for fleet_simulation, and what came of them as tables."""

import json
import subprocess

from scale_tables import Fleet, costliest_first, number, shares_of, table, zipf

POD_START_S = 20       # assumed: scheduled, image there, started, listed
HOP_MS = 0.25          # assumed: one way between two hosts
DEADLINE_S = 1
SURGE_STEP_S = 15      # between two rows of the course of a surge
SECOND_EXPERT_SHARE = 0.006
STAGES = ("receive", "decode", "encode", "combine")


def replicas(fleet):
    """Two of each at least."""
    return {domain.name: max(2, domain.pods) for domain in fleet.domains}


def plan_of(inputs, measured, rate, count, pods, shares, **changes):
    """A fleet of `count` routers with `pods` by domain, each with cores of its own."""
    router, experts = measured["router"], measured["experts"]
    cores = inputs["router"]["cores"]
    calls = [expert["call_ms"] for expert in experts.values()]
    plan = {
        "warm_up_seconds": 5, "measured_seconds": 10, "interval_seconds": 5,
        "arrivals": {"rate": rate, "deadline_seconds": DEADLINE_S, "hop_ms": HOP_MS,
                     "second_expert": SECOND_EXPERT_SHARE},
        "domains": {name: {"share": share, "row": experts[name]["row"], "replicas": pods[name]}
                    for name, share in shares.items()},
        "routers": {"count": count, "cores": cores, "decode_workers": cores,
                    "encode_workers": cores, "in_flight": 128 * cores,
                    "subset": inputs["expert_subset"], "encode_fixed": router["encode_fixed"],
                    **{stage: router[stage] for stage in STAGES}},
        "pods": {"cores": inputs["expert"]["cores"], "hop_ms": HOP_MS,
                 "call": sum(calls) / len(calls)}}
    for name, change in changes.items():
        plan[name] = plan.get(name, {}) | change if isinstance(change, dict) else change
    return plan


def run(bin_dir, plan):
    """What fleet_simulation says. Errors: its own words."""
    done = subprocess.run([bin_dir / "fleet_simulation", "-"], input=json.dumps(plan), text=True,
                          capture_output=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"scale: fleet_simulation ended with {done.returncode}: {done.stderr}")
    return json.loads(done.stdout)


def share(part, whole):
    return f"{100 * part / whole:.2f} %" if whole else "-"


def busy(said):
    """(mean, most) of how busy pods are, over domains by their pods."""
    domains = said["domains"].values()
    pods = sum(domain["pods"] for domain in domains)
    return (sum(domain["utilisation"] * domain["pods"] for domain in domains) / pods,
            max(domain["most_utilisation"] for domain in domains))


def uneven(said):
    return max(domain["max_over_mean"] for domain in said["domains"].values())


def rate_of(inputs, measured, routers):
    return routers * Fleet(inputs, measured).pictures_a_router


def sizes(inputs, measured, bin_dir):
    """The same fleet at growing sizes: does anything but the size change?"""
    rows = []
    for routers in (10, 100, 500):
        fleet = Fleet(inputs, measured, rate=rate_of(inputs, measured, routers))
        pods = replicas(fleet)
        plan = plan_of(inputs, measured, fleet.rate, routers, pods, shares_of(inputs))
        if routers > 100:
            plan |= {"warm_up_seconds": 2, "measured_seconds": 3, "interval_seconds": 1}
        said = run(bin_dir, plan)
        mean, most = busy(said)
        times = said["latency_ms"]
        rows.append((f"{routers} × {sum(pods.values()):,}", number(said["offered_per_second"]),
                     number(said["counts"]["offered"]), number(times["p50"]), number(times["p99"]),
                     f"{said['router_utilisation']:.2f}", f"{mean:.2f}", f"{most:.2f}",
                     f"{uneven(said):.2f}", number(said["connections"]),
                     f"{said['wall_seconds']:.0f} s"))
    return table(("routers × pods", "pictures/s", "pictures", "p50 ms", "p99 ms", "routers busy",
                  "pods busy", "busiest pod", "max/mean of rows", "connections", "took"), *rows)


def subsets(inputs, measured, bin_dir):
    routers = 100
    fleet = Fleet(inputs, measured, rate=rate_of(inputs, measured, routers))
    rows = []
    for size in (0, 5, 20, 60):
        plan = plan_of(inputs, measured, fleet.rate, routers, replicas(fleet), shares_of(inputs),
                       warm_up_seconds=3, measured_seconds=5, routers={"subset": size})
        said = run(bin_dir, plan)
        mean, most = busy(said)
        rows.append((str(size) if size else "all", number(said["connections"]),
                     f"{uneven(said):.2f}", f"{mean:.2f}", f"{most:.2f}",
                     number(said["calls"]["latency_ms"]["p50"]),
                     number(said["calls"]["latency_ms"]["p99"]), number(said["latency_ms"]["p99"])))
    return table(("subset", "connections", "max/mean of rows", "pods busy", "busiest pod",
                  "a call: p50 ms", "p99 ms", "a picture: p99 ms"), *rows)


def skews(inputs, measured, bin_dir):
    """Who is asked, with pods made for it and with pods made for the other way of asking."""
    routers = 20
    rate = rate_of(inputs, measured, routers)
    counted = Fleet(inputs, measured, rate=rate)
    zipf_shares = zipf(costliest_first(measured), inputs["zipf_exponent"])
    zipfed = Fleet(inputs, measured, zipf_shares, rate=rate)
    rows = []
    for name, shares, fleet in (("as counted, pods for it", shares_of(inputs), counted),
                                ("Zipf, pods for it", zipf_shares, zipfed),
                                ("Zipf, pods for what was counted", zipf_shares, counted)):
        said = run(bin_dir, plan_of(inputs, measured, rate, routers, replicas(fleet), shares))
        counts = said["counts"]
        mean, most = busy(said)
        rows.append((name, str(sum(replicas(fleet).values())), f"{mean:.2f}", f"{most:.2f}",
                     number(said["latency_ms"]["p50"]), number(said["latency_ms"]["p99"]),
                     share(counts["degraded"], counts["offered"]),
                     share(counts["refused"], counts["offered"])))
    return table(("asked", "pods", "pods busy", "busiest pod", "p50 ms", "p99 ms", "degraded",
                  "refused"), *rows)


def surge(inputs, measured, bin_dir):
    """One domain is asked three times as much for a while: what its replicas do."""
    routers = 5
    rate = rate_of(inputs, measured, routers) * .6  # Routers must not be what is short.
    fleet = Fleet(inputs, measured, rate=rate)
    hot = fleet.domains[0].name
    plan = plan_of(inputs, measured, rate, routers, replicas(fleet), shares_of(inputs),
                   warm_up_seconds=35, measured_seconds=240, interval_seconds=SURGE_STEP_S,
                   autoscaler={"start": POD_START_S * 1000, "scale_down_seconds": 60},
                   routers={"subset": 0, "target_utilisation": inputs["expert"]["utilisation"]})
    plan["arrivals"]["surges"] = [{"domain": hot, "from_seconds": 30, "to_seconds": 120,
                                   "factor": 3}]
    said = run(bin_dir, plan)
    index = list(plan["domains"]).index(hot)
    rows = []
    for step in said["course"]:
        counts = step["counts"]
        rows.append((f"{step['seconds']:.0f}", number(counts["offered"] / SURGE_STEP_S),
                     f"{step['desired'][index]:.1f}", str(step["serving"][index]),
                     str(sum(step["serving"]) - step["serving"][index]), number(step["p50_ms"]),
                     number(step["p99_ms"]), share(counts["degraded"], counts["offered"]),
                     share(counts["refused"], counts["offered"])))
    return table(("s", "pictures/s", f"desired of {hot}", "serving", "others serving", "p50 ms",
                  "p99 ms", "degraded", "refused"), *rows)


def zones(inputs, measured, bin_dir):
    """A zone of three fails: by how, and by how busy the experts were."""
    routers = 9
    rows = []
    for kind in ("dead", "silent"):
        for own in (inputs["expert"]["utilisation"], .7):
            given = inputs | {"expert": inputs["expert"] | {"utilisation": own}}
            rate = rate_of(given, measured, routers)
            fleet = Fleet(given, measured, rate=rate)
            plan = plan_of(given, measured, rate, routers, replicas(fleet), shares_of(given),
                           measured_seconds=60, interval_seconds=5,
                           fault={"kind": kind, "at_seconds": 10, "zones": given["zones"]})
            said = run(bin_dir, plan)
            course = said["course"]
            def window(begin, end):
                steps = [s for s in course if begin <= s["seconds"] < end]
                offered = sum(s["counts"]["offered"] for s in steps)
                return (share(sum(s["counts"]["degraded"] for s in steps), offered),
                        share(sum(s["counts"]["refused"] + s["counts"]["lost"] for s in steps),
                              offered), max(s["p99_ms"] for s in steps))
            first, later, last = window(10, 15), window(15, 45), window(50, 60)
            rows.append((kind, f"{own:g}", *first[:2], *later[:2], number(later[2]), *last[:2],
                         number(last[2])))
    return table(("how", "experts busy before", "first 5 s: degraded", "refused or lost",
                  "5 to 35 s: degraded", "refused or lost", "p99 ms", "from 40 s: degraded",
                  "refused or lost", "p99 ms"), *rows)


SIMULATIONS = {"sizes": sizes, "subsets": subsets, "skews": skews, "surge": surge, "zones": zones}


def tables(inputs, measured, bin_dir, names):
    found = {}
    for name, simulation in SIMULATIONS.items():
        if names and name not in names:
            continue
        found[name] = simulation(inputs, measured, bin_dir)
        print(f"{name}\n\n{found[name]}\n", flush=True)
    return found
