"""The arithmetic of docs/scale.md: from what was measured to a fleet. Pure; tools/scale prints it.

Two inputs: what `./dev bench fleet` measured (bench/fleet/measured.json), and what one assumes
(bench/fleet/scale.json). Every table of the page follows from them, and tests/repo/scale_test.py
holds the page to it.
"""

import math
from dataclasses import dataclass


@dataclass
class Domain:
    """The experts of one domain."""
    name: str
    rows: float     # a second
    cpu_ms: float   # of a core, a row
    pods: int


def zipf(names, exponent):
    """Shares by rank: the first has 1, the k-th 1/k^exponent."""
    weights = [1 / rank ** exponent for rank in range(1, len(names) + 1)]
    return {name: weight / sum(weights) for name, weight in zip(names, weights)}


def costliest_first(measured):
    return sorted(measured["experts"], key=lambda name: -measured["experts"][name]["cpu_ms"])


def shares_of(inputs):
    """What a picture asks of each domain: activations a picture, as counted."""
    return {name: count / inputs["pictures"] for name, count in inputs["activations"].items()}


class Fleet:
    """How many of everything `rate` pictures a second need."""

    def __init__(self, inputs, measured, shares=None, rate=None):
        self.inputs, self.measured = inputs, measured
        self.rate = rate or inputs["rate"]
        shares = shares or shares_of(inputs)
        router, expert = inputs["router"], inputs["expert"]
        self.router_cpu_s = 1 / measured["router"]["capacity_a_core"]
        self.pictures_a_router = router["cores"] * router["utilisation"] / self.router_cpu_s
        self.routers = math.ceil(self.rate / self.pictures_a_router)
        self.domains = []
        for name, share in sorted(shares.items(), key=lambda item: -item[1]):
            rows = self.rate * share
            cpu_ms = measured["experts"][name]["cpu_ms"]
            pods = math.ceil(rows * cpu_ms / 1e3 / expert["utilisation"] / expert["cores"])
            self.domains.append(Domain(name, rows, cpu_ms, pods))

    @property
    def pods(self):
        return sum(domain.pods for domain in self.domains)

    @property
    def rows(self):
        return sum(domain.rows for domain in self.domains)

    @property
    def router_cores(self):
        return self.routers * self.inputs["router"]["cores"]

    @property
    def expert_cores(self):
        return self.pods * self.inputs["expert"]["cores"]

    def kind(self, name):
        return "map" if name in self.inputs["map_domains"] else "pooled"

    def bytes_a_picture(self, direction):
        """Of all calls to experts that a picture makes, on average."""
        wire = self.measured["wire_bytes"]
        return sum(domain.rows / self.rate * wire[self.kind(domain.name)][direction]
                   for domain in self.domains)

    def request_bytes(self, direction):
        return self.measured["wire_bytes"]["map"][direction]

    def connections(self, subset):
        """Of all routers to all pods; 0: to every one."""
        return sum(self.routers * (min(subset, d.pods) if subset else d.pods) for d in self.domains)

    def series(self):
        """(routers', experts')."""
        return (self.routers * self.measured["router"]["series"],
                sum(d.pods * self.measured["experts"][d.name]["series"] for d in self.domains))

    def scrape_bytes(self):
        return (self.routers * self.measured["router"]["scrape_bytes"]
                + sum(d.pods * self.measured["experts"][d.name]["scrape_bytes"]
                      for d in self.domains))

    def gib(self):
        return (self.routers * self.inputs["router"]["gib"]
                + self.pods * self.inputs["expert"]["gib"])

    def across_zones(self):
        """Bytes a picture that leave their zone: whom a router asks does not depend on zones."""
        both = self.bytes_a_picture("to_expert") + self.bytes_a_picture("from_expert")
        return both * (1 - 1 / self.inputs["zones"])


def number(value):
    """Three digits, and thousands apart."""
    if value == 0:
        return "0"
    digits = 2 - math.floor(math.log10(abs(value)))
    rounded = round(value, digits)
    return f"{rounded:,.0f}" if digits <= 0 else f"{rounded:,.{digits}f}".rstrip("0").rstrip(".")


def table(head, *rows):
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in rows])


def costs(fleet):
    """What was measured."""
    router, experts = fleet.measured["router"], fleet.measured["experts"]
    wire = fleet.measured["wire_bytes"]
    rows = [("a router: pictures a second and core, at its limit",
             number(router["capacity_a_core"])),
            ("a router: CPU a picture, one at a time", f"{number(router['cpu_ms'])} ms"),
            ("a router: private memory; series; bytes of a scrape",
             f"{router['private_mib']} MiB; {router['series']}; {number(router['scrape_bytes'])}"),
            ("a picture from its client; the answer", f"{number(wire['map']['request'])}; "
             f"{number(wire['map']['response'])} bytes")]
    for kind, what in (("map", "the map"), ("pooled", "pooled features")):
        rows.append((f"a call to an expert that reads {what}; its answer",
                     f"{number(wire[kind]['to_expert'])}; {number(wire[kind]['from_expert'])} bytes"))
    for name in costliest_first(fleet.measured):
        expert = experts[name]
        rows.append((f"expert of {name} ({fleet.kind(name)}): CPU a row; memory; series",
                     f"{number(expert['cpu_ms'])} ms; {expert['private_mib']} MiB; "
                     f"{expert['series']}"))
    return table(("what", "measured"), *rows)


def experts(fleet, zipfed):
    """Pods by domain, for both ways in which pictures may ask."""
    other = {domain.name: domain for domain in zipfed.domains}

    def figures(all_of_them, domain):
        return (f"{100 * domain.rows / all_of_them.rows:.1f} %", number(domain.rows),
                number(domain.pods))

    rows = [(d.name, fleet.kind(d.name), *figures(fleet, d), *figures(zipfed, other[d.name]))
            for d in fleet.domains]
    rows.append(("all", "", "100 %", number(fleet.rows), number(fleet.pods), "100 %",
                 number(zipfed.rows), number(zipfed.pods)))
    return table(("domain", "reads", "share", "rows/s", "pods", "Zipf: share", "rows/s", "pods"),
                 *rows)


def routers(fleet):
    """By size of a router, at what was measured and at what a quiet machine made."""
    quiet = fleet.inputs["quiet_capacity_a_core"]
    rows = []
    for cores in (2, fleet.inputs["router"]["cores"], fleet.inputs["node_cores"]):
        row = [str(cores)]
        for capacity in (1 / fleet.router_cpu_s, quiet):
            pictures = cores * fleet.inputs["router"]["utilisation"] * capacity
            row += [number(pictures), number(math.ceil(fleet.rate / pictures)),
                    number(pictures * fleet.request_bytes("request") * 8 / 1e9)]
        rows.append(row)
    return table(("cores a router", "pictures/s each", "routers", "Gbit/s from clients each",
                  f"at {quiet} pictures/s a core: each", "routers", "Gbit/s each"), *rows)


def connections(fleet):
    rows = []
    subset = fleet.inputs["expert_subset"]
    for size, name in ((0, "0: all"), (subset, str(subset)), (3 * subset, str(3 * subset))):
        total = fleet.connections(size)
        per_pod = [fleet.routers * (min(size, d.pods) if size else d.pods) / d.pods
                   for d in fleet.domains]
        rows.append((name, number(total), number(total / fleet.routers), number(max(per_pod)),
                     number(min(per_pod))))
    return table(("`--expert-subset`", "connections", "of a router",
                  "of a pod, the domain with most", "with least"), *rows)


def bandwidth(fleet):
    def row(what, size):
        total = fleet.rate * size * 8 / 1e9
        return what, number(size), number(total), number(total / fleet.routers)

    return table(("hop", "bytes a picture", "Gbit/s in all", "Gbit/s a router"),
                 row("client → router", fleet.request_bytes("request")),
                 row("router → client", fleet.request_bytes("response")),
                 row("router → experts", fleet.bytes_a_picture("to_expert")),
                 row("experts → router", fleet.bytes_a_picture("from_expert")),
                 row("of these two, between zones", fleet.across_zones()))


def failures(fleet):
    """What is left of what was asked for when something fails."""
    zones = fleet.inputs["zones"]
    def after(utilisation):
        return f"{utilisation * zones / (zones - 1):.2f}"
    most = max(fleet.domains, key=lambda d: d.pods)
    least = min(fleet.domains, key=lambda d: d.pods)
    own = fleet.inputs["expert"]["utilisation"]
    return table(("what fails", "share", "what the others must do"),
                 ("a zone", f"1/{zones}", f"routers and experts at {own:g} go to {after(own)}; at the "
                  f"default `--target-utilisation` of .7 experts go to {after(.7)}"),
                 ("a router", f"1/{number(fleet.routers)}", f"{number(fleet.pictures_a_router)} "
                  "pictures a second go elsewhere; what it had in progress is lost"),
                 (f"a pod of {most.name}", f"1/{number(most.pods)}", f"{number(most.rows / most.pods)} "
                  "rows a second go elsewhere"),
                 (f"a pod of {least.name}", f"1/{number(least.pods)}",
                  f"{number(least.rows / least.pods)} rows a second go elsewhere"),
                 (f"all pods of {most.name}", f"{100 * most.rows / fleet.rows:.0f} % of the rows",
                  "these pictures are answered degraded, all others are not touched"))


def monitoring(fleet):
    of_routers, of_experts = fleet.series()
    seconds = fleet.inputs["scrape_seconds"]
    samples = (of_routers + of_experts) / seconds
    return table(("", "routers", "experts", "all"),
                 ("targets", number(fleet.routers), number(fleet.pods),
                  number(fleet.routers + fleet.pods)),
                 ("series", number(of_routers), number(of_experts), number(of_routers + of_experts)),
                 (f"samples a second at {seconds} s", number(of_routers / seconds),
                  number(of_experts / seconds), number(samples)),
                 ("MB/s of pages", "", "", number(fleet.scrape_bytes() / seconds / 1e6)))


def names(fleet):
    """Looking experts up."""
    most = max(fleet.domains, key=lambda d: d.pods)
    questions = fleet.routers * len(fleet.domains) / fleet.inputs["dns_seconds"]
    size = sum(16 * d.pods for d in fleet.domains) / len(fleet.domains)
    return table(("what", "how much"),
                 ("questions a second, of all routers", number(questions)),
                 (f"addresses of the largest name, {most.name}", number(most.pods)),
                 ("bytes of its answer, 16 an address", number(16 * most.pods)),
                 ("MB/s of answers", number(questions * size / 1e6)))


def breaks(fleet):
    """Limits by the rate at which they are reached, the first one first."""
    limits = fleet.inputs["limits"]
    most = max(fleet.domains, key=lambda d: d.pods)
    gbit = fleet.pictures_a_router / fleet.inputs["router"]["cores"] * fleet.inputs["node_cores"]
    gbit *= fleet.request_bytes("request") * 8 / 1e9
    nodes = (fleet.router_cores + fleet.expert_cores) / fleet.inputs["node_cores"]
    def at(limit, used):
        return fleet.rate * limit / used
    found = [
        (at(limits["max_connections"], fleet.routers),
         "a pod's connections without `--expert-subset`", f"{limits['max_connections']:,}, "
         "`--max-connections`", number(fleet.routers)),
        (at(limits["dns_addresses"], most.pods), f"addresses of one name ({most.name})",
         f"{limits['dns_addresses']:,}, a DNS message of 64 KiB", number(most.pods)),
        (at(limits["cluster_nodes"], nodes), f"nodes of {fleet.inputs['node_cores']} cores",
         f"{limits['cluster_nodes']:,} a cluster (Kubernetes' own figure)", number(nodes)),
        (at(limits["cluster_pods"], fleet.routers + fleet.pods), "pods",
         f"{limits['cluster_pods']:,} a cluster (the same)", number(fleet.routers + fleet.pods))]
    rows = [(number(rate), what, used, limit) for rate, what, limit, used in sorted(found)]
    rows.append(("any", f"a node of {fleet.inputs['node_cores']} cores full of routers",
                 f"{number(gbit)} Gbit/s", f"its link: {limits['link_gbit']} Gbit/s here"))
    return table(("pictures/s", "what", f"at {number(fleet.rate)}", "limit"), *rows)


def cost(fleet):
    """What an hour takes, and what it costs at the prices given."""
    prices = fleet.inputs["example_prices"]
    hour = 3600.0
    uses = [("core-hours, routers", "c", fleet.router_cores, prices["core_hour"]),
            ("core-hours, experts", "c", fleet.expert_cores, prices["core_hour"]),
            ("GiB-hours of memory", "m", fleet.gib(), prices["gib_hour"]),
            ("GB between zones", "z", fleet.across_zones() * fleet.rate * hour / 1e9,
             prices["zone_gb"]),
            ("GB to clients", "e", fleet.request_bytes("response") * fleet.rate * hour / 1e9,
             prices["client_gb"])]
    millions = fleet.rate * hour / 1e6
    rows = [(what, symbol, number(amount), number(amount / millions), f"{price:g}",
             number(amount * price / millions)) for what, symbol, amount, price in uses]
    total = sum(amount * price for _, _, amount, price in uses)
    rows.append(("all", "", "", "", "", number(total / millions)))
    return table(("what", "price", "an hour", "a million pictures", "example price",
                  "example: a million pictures"), *rows)


def tables(inputs, measured):
    """{section: text}, in the order of the page."""
    fleet = Fleet(inputs, measured)
    zipfed = Fleet(inputs, measured, zipf(costliest_first(measured), inputs["zipf_exponent"]))
    return {"costs": costs(fleet), "routers": routers(fleet), "experts": experts(fleet, zipfed),
            "connections": connections(fleet), "bandwidth": bandwidth(fleet),
            "failures": failures(fleet), "names": names(fleet), "monitoring": monitoring(fleet),
            "cost": cost(fleet), "breaks": breaks(fleet)}
