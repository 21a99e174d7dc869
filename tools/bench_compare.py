"""One build against another: `./dev bench compare BASE=dir`.

Every configuration of every round is measured of both builds, one right after the other, so that a
noisy minute falls on both; who comes first changes from round to round. The same client asks both.
Last, both are asked at the same time: what a picture costs then hardly depends on the machine's noise.
"""

import concurrent.futures
import pathlib
import statistics
from typing import NamedTuple

import bench_runs

PROGRAMS = ("bench_pipeline", "orchard-expert", "orchard-router")
SIDES = ("base", "new")


class Row(NamedTuple):
    """A figure of both builds."""

    what: str
    figure: str
    unit: str
    digits: int = 0
    less_is_better: bool = False
    difference: bool = False  # new − base, where the figure is one itself and may be about 0


ROWS = (
    Row("reference loop", "reference", "pictures/s"),
    Row("plain loop", "plain", "pictures/s"),
    Row("pipeline in process", "pipeline", "pictures/s"),
    Row("embedded router over gRPC", "embedded", "pictures/s"),
    Row("router with one process an expert", "remote", "pictures/s"),
    Row("bare forward pass", "forward_ms", "ms", 2, less_is_better=True),
    Row("routed answer at low load, without decode", "quiet_ms", "ms", 2, less_is_better=True),
    Row("its overhead over the forward pass", "overhead_ms", "ms", 2, less_is_better=True,
        difference=True),
    Row("start to ready, embedded", "start_s", "s", 2, less_is_better=True),
    Row("CPU time a picture, embedded, both at once", "cpu_ms", "ms", 2, less_is_better=True),
)


def embedded(build, threads, pictures):
    """A router with all experts inside, from its start to its end."""
    try:
        (bound, _), start_s = bench_runs.timed(lambda: build.router(name="embedded"))
        return {"start_s": start_s,
                **bench_runs.of_server(build, "embedded", bound["grpc"], threads, pictures),
                **bench_runs.of_quiet_server(build, bound["grpc"], pictures)}
    finally:
        build.stop()


def remote(build, threads, pictures):
    """A router and a process an expert, from their start to their end."""
    try:
        flags, _ = build.fleet()
        bound, _ = build.router(*flags)
        return bench_runs.of_server(build, "remote", bound["grpc"], threads, pictures)
    finally:
        build.stop()


def pipeline(mode):
    return lambda build, threads, pictures: bench_runs.of_pipeline(build, mode, threads, pictures)


# "forward" beside "embedded": their difference is a row.
CONFIGURATIONS = (*map(pipeline, ("reference", "plain", "pipeline", "forward")), embedded, remote)


def cpu_at_once(builds, threads, pictures):
    """{"base": {"cpu_ms": …}, "new": …}: embedded routers of both, loaded at the same time."""
    def cost(side):
        server, process = routers[side]
        before = bench_runs.cpu_seconds(process)
        builds[side].closed_loop(server, 2 * threads, pictures)
        return 1000 * (bench_runs.cpu_seconds(process) - before) / pictures

    routers = {}
    try:
        for side in SIDES:
            bound, process = builds[side].router(name="embedded")
            builds[side].closed_loop(bound["grpc"], threads, threads)  # The first ones cost more.
            routers[side] = bound["grpc"], process
        with concurrent.futures.ThreadPoolExecutor(len(SIDES)) as pool:
            costs = list(pool.map(cost, SIDES))
    finally:
        for side in SIDES:
            builds[side].stop()
    return {side: {"cpu_ms": ms} for side, ms in zip(SIDES, costs)}


def one_round(builds, number, threads, pictures):
    """Figures by side, {"base": {…}, "new": {…}}."""
    figures = {side: {} for side in SIDES}
    for configuration in CONFIGURATIONS:
        for side in SIDES if number % 2 == 0 else reversed(SIDES):
            figures[side] |= configuration(builds[side], threads, pictures)
    at_once = cpu_at_once(builds, threads, pictures)
    for side in SIDES:
        figures[side] |= at_once[side]
        figures[side]["overhead_ms"] = bench_runs.overhead_ms(figures[side])
    return figures


def changes(row, rounds):
    """new / base (or new − base) of every round."""
    pairs = [(figures["new"][row.figure], figures["base"][row.figure]) for figures in rounds]
    return [new - base if row.difference else 1.0 if new == base else new / base
            for new, base in pairs]


def verdict(row, rounds):
    """"worse" or "better" when every round says so, else "-"."""
    signs = [change - (0.0 if row.difference else 1.0) for change in changes(row, rounds)]
    if row.less_is_better:
        signs = [-sign for sign in signs]
    return "worse" if max(signs) < 0 else "better" if min(signs) > 0 else "-"


def row_text(row, rounds):
    change = changes(row, rounds)
    form = f"{{:+.{row.digits}f}}" if row.difference else "{:.3f}"
    middle, least, most = (form.format(f(change)) for f in (statistics.median, min, max))
    unit = f" {row.unit}" if row.difference else ""
    new, base = (statistics.median(figures[side][row.figure] for figures in rounds)
                 for side in ("new", "base"))
    return (f"| {row.what} | {middle}{unit} ({least} to {most}) | {new:.{row.digits}f} {row.unit} | "
            f"{base:.{row.digits}f} {row.unit} | {verdict(row, rounds)} |")


def report(rounds, heading):
    worse = [row.what for row in ROWS if verdict(row, rounds) == "worse"]
    return "\n".join([
        heading,
        "",
        "| what | new / base | new | base | every round says |",
        "|---|---|---|---|---|",
        *(row_text(row, rounds) for row in ROWS),
        "",
        f"Worse in every round: {'; '.join(worse) or 'none'}.",
    ])


def programs_of(base):
    """The bin/ folder of the other build. Errors: it is none."""
    folder = pathlib.Path(base or "/nowhere").absolute()
    missing = [name for name in PROGRAMS if not (folder / name).is_file()]
    if missing:
        raise bench_runs.BenchError(
            f"BASE={base} has no {', '.join(missing)}: name the bin/ folder of another build, for "
            "example build/release/bin of another checkout after ./dev build there")
    return folder


def table(builds, rounds, threads, pictures):
    measured = []
    for number in range(rounds):
        measured.append(one_round(builds, number, threads, pictures))
        bench_runs.say_round(number, rounds, measured[-1])
    return report(measured, f"{bench_runs.processor()}, {threads} cores, {rounds} rounds, both builds "
                  f"in turn; {bench_runs.pictures_text(builds['new'].images)}. Medians over rounds "
                  "(smallest to largest).")
