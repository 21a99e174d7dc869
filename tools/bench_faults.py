"""What faults and overload cost: `./dev bench faults` and `./dev bench overload`.

Real processes on loopback, loaded by `orchard bench`. Everything is a ratio inside one round, with
and without the fault in turn, so that noise of the machine falls on both alike.
"""

import asyncio
import contextlib
import json
import os
import pathlib
import signal
import statistics
import subprocess
import threading
import time

import metrics_page

OTHER, STUCK = "fruit", "flower"  # The domain that is measured, and the one whose expert hangs.
SECONDS = 6                       # of one measurement
SHORT_TURNS = 4                   # for each round, where two loads are compared in turn
RUN_UP_SECONDS = 45               # until pools, arenas and estimates of a loaded router are full
GROWTH_MINUTES = 3                # Allocators grow in steps: one minute has none of them, or two.
SETTLE_SECONDS = 3                # between a fault and the measurement: caches, estimates, ejection


class DelayProxy:
    """A TCP proxy that passes on what the server sends `delay` seconds later, however much."""

    def __init__(self, target):
        self.host, port = target.rsplit(":", 1)
        self.port = int(port)
        self.delay = 0.0
        self.address = None
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        started.wait(10)

    def _run(self, started):
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            asyncio.start_server(self._accept, "127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % server.sockets[0].getsockname()[1]
        started.set()
        self._loop.run_forever()

    async def _accept(self, reader, writer):
        with contextlib.suppress(asyncio.CancelledError):
            to_reader, to_writer = await asyncio.open_connection(self.host, self.port)
            await asyncio.gather(self._pump(reader, to_writer, delayed=False),
                                 self._pump(to_reader, writer, delayed=True))

    async def _pump(self, reader, writer, delayed):
        pieces = asyncio.Queue()

        async def write():
            while True:
                due, piece = await pieces.get()
                if (left := due - self._loop.time()) > 0:
                    await asyncio.sleep(left)
                if not piece:
                    writer.close()
                    return
                writer.write(piece)
                await writer.drain()

        with contextlib.suppress(OSError):
            writing = asyncio.ensure_future(write())
            while piece := await reader.read(1 << 16):
                pieces.put_nowait((self._loop.time() + (self.delay if delayed else 0.0), piece))
            pieces.put_nowait((self._loop.time(), b""))
            await writing

    async def _end(self):
        others = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def stop(self):
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@contextlib.contextmanager
def side_load(build, server, *flags):
    """A load beside the one that is measured."""
    with subprocess.Popen(build.command(server, *flags), stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as process:
        try:
            time.sleep(SETTLE_SECONDS)
            yield
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)


def resident_mib(process):
    text = pathlib.Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in text.splitlines()
                if line.startswith("VmRSS:")) / 1024


def hung_expert(build, rounds):
    """Pictures a second of one domain, while another domain's expert hangs and is asked."""
    flags, processes = build.fleet()
    bound, _ = build.router(*flags, "--in-flight", "64")
    stuck = processes[STUCK]
    ratios, rates = [], []
    for _ in range(rounds):
        measured = {}
        for state in ("healthy", "hung"):
            if state == "hung":
                stuck.send_signal(signal.SIGSTOP)
            try:
                with side_load(build, bound["grpc"], "--domain", STUCK, "--rate", "20",
                               "--duration", "60s"):
                    measured[state] = build.load(bound["grpc"], "--domain", OTHER, "--concurrency",
                                                 "4", "--duration", f"{SECONDS}s")
            finally:
                stuck.send_signal(signal.SIGCONT)
            time.sleep(SETTLE_SECONDS)
        assert measured["hung"]["failed"] == 0, measured["hung"]["errors"]
        rates.append({k: v["ok_per_second"] for k, v in measured.items()})
        ratios.append(rates[-1]["hung"] / rates[-1]["healthy"])
    build.stop()
    return ratios, (f"{statistics.median(r['hung'] for r in rates):.0f} against "
                    f"{statistics.median(r['healthy'] for r in rates):.0f} pictures/s of {OTHER}; "
                    f"{STUCK} asked 20 times a second")


def slow_replica(build, rounds):
    """p99 of a domain with two replicas, one of which answers ten whole requests later."""
    flags, _ = build.fleet(skip=(OTHER,))
    first, _ = build.expert("replica-1", OTHER)
    second, _ = build.expert("replica-2", OTHER)
    proxy = DelayProxy(second)
    bound, _ = build.router(*flags, "--expert", f"{OTHER}={first},{proxy.address}")
    asked = ["--domain", OTHER, "--concurrency", "2", "--duration", f"{2 * SECONDS}s"]
    ratios, times = [], []
    for _ in range(rounds):
        proxy.delay = 0.0
        time.sleep(SETTLE_SECONDS)
        healthy = build.load(bound["grpc"], *asked)["latency_ms"]
        proxy.delay = 10 * healthy["p50"] / 1e3
        slow = build.load(bound["grpc"], *asked)["latency_ms"]
        times.append((slow["p99"], healthy["p99"], proxy.delay * 1e3))
        ratios.append(slow["p99"] / healthy["p99"])
    proxy.stop()
    build.stop()
    slow, healthy, delay = (statistics.median(column) for column in zip(*times))
    return ratios, f"{slow:.1f} against {healthy:.1f} ms; {delay:.0f} ms of delay"


def cancelled_calls(build):
    """What a router grows by whose callers cancel 200 pictures a second of a hung expert: MiB in each
    of GROWTH_MINUTES, MiB in the run-up before them, and what the callers say."""
    seconds = RUN_UP_SECONDS + 60 * GROWTH_MINUTES
    flags, _ = build.fleet(skip=(STUCK,))
    well, _ = build.expert("expert-described", STUCK)
    # Well by all it says: one that was only stopped would be ejected, and its pictures refused.
    hung = build.processes.start("expert-hung", [build.bin_dir / "bench_hung_expert", "--of", well])
    bound, router = build.router(*flags, "--expert", f"{STUCK}={hung['grpc']}")
    small = build.bin_dir.parent / "bench-small-pictures"  # Large ones would not come to the expert.
    subprocess.run([build.bin_dir / "draw_pictures", small, "256"], check=True)
    try:
        with subprocess.Popen(
                [build.bin_dir / "bench_cancel", "--server", bound["grpc"], "--images",
                 str(small), "--domain", STUCK, "--rate", "200", "--seconds", str(seconds + 5),
                 "--after-ms", "50"], stdout=subprocess.PIPE, text=True) as client:
            samples = []
            for _ in range(seconds):
                samples.append(resident_mib(router))
                time.sleep(1)
            said = json.loads(client.communicate(timeout=60)[0])
    finally:
        build.stop()
    print(f"resident MiB, a second each: {[round(s, 1) for s in samples]}", flush=True)
    # The lower envelope: what is held for good, and not what a burst borrows.
    held = [min(samples[end - 10:end]) for end in range(RUN_UP_SECONDS, seconds + 1, 60)]
    return [after - before for before, after in zip(held, held[1:])], held[0] - samples[0], said


def shed(metrics):
    """orchard_shed_total by reason, of a router's metrics page."""
    counts = {}
    for labels, value in metrics_page.series(metrics_page.page(metrics), "orchard_shed_total"):
        if value:
            counts[labels["reason"]] = counts.get(labels["reason"], 0) + int(value)
    return counts


def overload_step(build, bound, router, rate, deadline, prefix, seconds):
    """What an open loop of `rate` pictures a second gets, once it is steady. The line fills for a
    deadline, and pictures of that time are answered in the next one: were they left out and their
    answers' time counted, a flood would seem to cost up to a deadline of goodput."""
    before = shed(bound["metrics"])
    result = build.load(bound["grpc"], "--rate", f"{rate:.1f}", "--timeout", deadline, "--slo",
                        deadline, "--duration", f"{seconds}s", "--max-outstanding", "20000",
                        prefix=prefix, warm_up="3s")
    after = shed(bound["metrics"])
    return {"goodput": result["goodput_per_second"], "ok": result["ok"],
            "planned": result["planned"], "p50": result["latency_ms"]["p50"],
            "p99": result["latency_ms"]["p99"], "max": result["latency_ms"]["max"],
            "errors": result["errors"], "memory": resident_mib(router),
            "shed": {k: v - before.get(k, 0) for k, v in after.items() if v > before.get(k, 0)}}


def overload(build, rounds, steps=(.5, .75, 1, 1.25, 1.5, 2, 2.5, 3), deadline="1s"):
    """Goodput of an embedded router on one core, asked by a client on another: the capacity, a row
    a step, and the goodput at the last step over that at the best one, in turn, by round."""
    cores = sorted(os.sched_getaffinity(0))
    server_core, client_core = (["taskset", "-c", str(cores[i])] for i in (0, -1))
    bound, router = build.router(prefix=server_core)
    capacity = build.load(bound["grpc"], "--concurrency", "8", "--duration", f"{SECONDS}s",
                          prefix=client_core)["ok_per_second"]

    def at(step, seconds=2 * SECONDS):
        row = {"step": step, **overload_step(build, bound, router, step * capacity, deadline,
                                             client_core, seconds)}
        print(row, flush=True)
        return row

    rows = [at(step) for step in steps]
    # The best of noisy rows is partly luck: it has to show it again, beside the last one. Many short
    # turns say more than few long ones where the machine's speed changes within seconds.
    best = max(rows[:-1], key=lambda row: row["goodput"])["step"]
    ratios = []
    for number in range(SHORT_TURNS * rounds):
        turn = (best, steps[-1]) if number % 2 == 0 else (steps[-1], best)
        goodput = {step: at(step, SECONDS / 2)["goodput"] for step in turn}
        ratios.append(goodput[steps[-1]] / goodput[best])
    build.stop()
    return capacity, rows, best, ratios


def ratio_row(what, budget, ratios, detail):
    return (f"| {what} | {budget} | {statistics.median(ratios):.2f} ({min(ratios):.2f} to "
            f"{max(ratios):.2f}) | {detail} |")


def faults_table(build, rounds):
    hung = hung_expert(build, rounds)
    print(hung, flush=True)
    slow = slow_replica(build, rounds)
    print(slow, flush=True)
    growth, run_up, said = cancelled_calls(build)
    return "\n".join([
        f"{rounds} rounds, with and without the fault in turn; medians (smallest to largest).",
        "",
        "| what | budget | measured | detail |",
        "|---|---|---|---|",
        ratio_row("throughput of another domain, one expert hung / healthy", "≥ 0.95", *hung),
        ratio_row("p99, one replica of two slow / two healthy ones", "≤ 1.50", *slow),
        f"| growth of the router while 200 calls a second to a hung expert are cancelled | "
        f"< 1 MiB/min | {statistics.mean(growth):.2f} MiB/min | minutes "
        f"{', '.join(f'{minute:.2f}' for minute in growth)}; {said['sent']} sent, "
        f"{said['cancelled']} cancelled, {said['refused']} refused; {run_up:.1f} MiB before that |",
    ])


def overload_table(build, rounds):
    capacity, rows, best, ratios = overload(build, rounds)
    peak = max(row["goodput"] for row in rows)
    low, _, high = statistics.quantiles(ratios, n=4)
    lines = [
        f"Open loop (Poisson), deadline 1 s, the embedded router on one core and the client on "
        f"another; capacity (closed loop) {capacity:.0f} pictures/s. Goodput at "
        f"{rows[-1]['step']:g} × over that at {best:g} ×, the best, {len(ratios)} times in turn: "
        f"{statistics.median(ratios):.2f} (the middle half {low:.2f} to {high:.2f}; budget ≥ 0.95).",
        "",
        "| offered | goodput /s | of the peak | p50 ms | p99 ms | longest ms | refused or late | "
        "resident MiB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        errors = ", ".join(f"{k} {v}" for k, v in row["errors"].items()) or "none"
        lines.append(f"| {row['step']:g} × | {row['goodput']:.0f} | {row['goodput'] / peak:.2f} | "
                     f"{row['p50']:.0f} | {row['p99']:.0f} | {row['max']:.0f} | {errors} | "
                     f"{row['memory']:.0f} |")
    lines += ["", "```text"]
    for row in rows:
        lines.append(f"{row['step']:>5g} × {'█' * round(40 * row['goodput'] / peak):<40} "
                     f"{row['goodput']:.0f}/s")
    return "\n".join([*lines, "```"])
