"""The budgets as ratios in one run: `./dev bench`."""

import statistics

import bench_runs


def one_round(build, embedded, half, remote, threads, pictures):
    """One figure a configuration, each measured once."""
    figures = {}
    figures |= bench_runs.of_server(build, "embedded", embedded, threads, pictures)
    figures |= bench_runs.of_server(build, "half", half, threads, pictures)
    figures |= bench_runs.of_server(build, "remote", remote, threads, pictures)
    figures |= bench_runs.of_pipeline(build, "forward", threads, pictures)
    figures |= bench_runs.of_quiet_server(build, embedded, pictures)
    for mode in ("reference", "plain", "pipeline"):
        figures |= bench_runs.of_pipeline(build, mode, threads, pictures)
    return figures | {"overhead_ms": bench_runs.overhead_ms(figures)}


def measure(build, rounds, threads, pictures):
    """Figures a round; private memory by kind of process, MiB; seconds of the start."""
    try:
        flags, experts = build.fleet()
        remote, router = build.router(*flags)
        (embedded, alone), start_s = bench_runs.timed(lambda: build.router(name="embedded"))
        # The other way to divide the cores (server/cgroup.h): the default is a decoder an encoder.
        half, _ = build.router("--decode-workers", str(max(1, threads // 2)), name="half-decoders")
        figures = []
        for number in range(rounds):
            figures.append(one_round(build, embedded["grpc"], half["grpc"], remote["grpc"], threads,
                                     pictures))
            bench_runs.say_round(number, rounds, figures[-1])
        memory = {
            "router": bench_runs.private_mib(router),
            "embedded": bench_runs.private_mib(alone),
            "expert": max(map(bench_runs.private_mib, experts.values())),
        }
    finally:
        build.stop()
    return figures, memory, start_s


def ratio(figures, above, below):
    """The median over rounds of the ratio inside a round, with the smallest and the largest."""
    ratios = [f[above] / f[below] for f in figures]
    return statistics.median(ratios), min(ratios), max(ratios)


def median(figures, name):
    return statistics.median(f[name] for f in figures)


def ratio_row(what, budget, figures, above, below):
    middle, least, most = ratio(figures, above, below)
    rates = f"{median(figures, above):.0f} against {median(figures, below):.0f} pictures/s"
    return f"| {what} | ≥ {budget:.2f} | {middle:.2f} ({least:.2f} to {most:.2f}) | {rates} |"


def table(build, rounds, threads, pictures):
    figures, memory, start_s = measure(build, rounds, threads, pictures)
    step_us, policy = bench_runs.planning(build)
    return "\n".join([
        f"{bench_runs.processor()}, {threads} cores, {len(figures)} rounds of every configuration in "
        f"turn; {bench_runs.pictures_text(build.images)}; {2 * threads} in flight. Ratios are medians "
        "over rounds (smallest to largest).",
        "",
        "| what | budget | measured | rates |",
        "|---|---|---|---|",
        ratio_row("pipeline in process / plain loop", .95, figures, "pipeline", "plain"),
        ratio_row("embedded router over gRPC, client on the same cores / plain loop", .90, figures,
                  "embedded", "plain"),
        ratio_row("router with one process an expert / embedded router", .80, figures,
                  "remote", "embedded"),
        ratio_row("embedded router over gRPC / reference loop", 1.20, figures, "embedded",
                  "reference"),
        ratio_row("as many decode workers as encode workers / half as many", 1.00, figures,
                  "embedded", "half"),
        f"| embedded router over gRPC | ≥ 250 pictures/s | {median(figures, 'embedded'):.0f} | "
        f"p50 {median(figures, 'embedded_p50'):.1f} ms, p99 {median(figures, 'embedded_p99'):.1f} ms |",
        f"| router with one process an expert | - | {median(figures, 'remote'):.0f} pictures/s | "
        f"p50 {median(figures, 'remote_p50'):.1f} ms, p99 {median(figures, 'remote_p99'):.1f} ms |",
        f"| overhead of a routed answer at low load, without decode | ≤ 1 ms | "
        f"{median(figures, 'overhead_ms'):.2f} ms | bare forward pass "
        f"{median(figures, 'forward_ms'):.2f} ms; {median(figures, 'embedded_experts'):.2f} experts "
        "asked |",
        f"| a step of planning, 200 domains of 10 endpoints | ≤ 5 µs | {step_us:.2f} µs | "
        f"the costliest policy, {policy}; it allocates nothing |",
        f"| start to ready, embedded | ≤ 2 s | {start_s:.2f} s | |",
        f"| private memory: router / embedded router / largest expert | ≤ 250 / - / 120 MiB | "
        f"{memory['router']:.0f} / {memory['embedded']:.0f} / {memory['expert']:.0f} MiB | |",
    ])
