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
import urllib.request

FREE = "127.0.0.1:0"
OTHER, STUCK = "fruit", "flower"  # The domain that is measured, and the one whose expert hangs.
SECONDS = 6                       # of one measurement
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


class Bench:
    """Starts the processes of one measurement, and asks them."""

    def __init__(self, demo, bin_dir, model_dir, images, logs):
        self.demo, self.bin_dir, self.images = demo, bin_dir, images
        self.model = ["--model", str(model_dir)]
        self.domains = demo.domains_of(model_dir)
        self.processes = demo.Processes(logs)

    def expert(self, name, domain):
        bound = self.processes.start(name, [
            self.bin_dir / "orchard-expert", *self.model, "--domain", domain, "--listen", FREE,
            "--metrics-listen", FREE])
        return bound["grpc"], self.processes.running[-1][1]

    def router(self, *flags, prefix=()):
        command = self.demo.router_command(self.bin_dir, self.model, [FREE] * 3)
        bound = self.processes.start("router", [*prefix, *command, *flags])
        return bound, self.processes.running[-1][1]

    def command(self, server, *flags):
        return [self.bin_dir / "orchard", "bench", "--json", "--server", server, "--warmup", "1s",
                *flags, str(self.images)]

    def load(self, server, *flags, prefix=()):
        run = subprocess.run([*prefix, *self.command(server, *flags)], capture_output=True,
                             text=True, check=False)
        return json.loads(run.stdout)

    @contextlib.contextmanager
    def side_load(self, server, *flags):
        command = self.command(server, *flags)
        with subprocess.Popen(command, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL) as process:
            try:
                time.sleep(SETTLE_SECONDS)
                yield
            finally:
                process.send_signal(signal.SIGINT)
                process.wait(60)

    def stop(self):
        self.processes.stop_all()


def fleet(bench, skip=()):
    """An expert a domain: the router's flags, and the processes by domain."""
    flags, processes = [], {}
    for domain in bench.domains:
        if domain in skip:
            continue
        address, processes[domain] = bench.expert(f"expert-{domain}", domain)
        flags += ["--expert", f"{domain}={address}"]
    return flags, processes


def resident_mib(process):
    text = pathlib.Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in text.splitlines()
                if line.startswith("VmRSS:")) / 1024


def hung_expert(bench, rounds):
    """Pictures a second of one domain, while another domain's expert hangs and is asked."""
    flags, processes = fleet(bench)
    bound, _ = bench.router(*flags, "--in-flight", "64")
    stuck = processes[STUCK]
    ratios, rates = [], []
    for _ in range(rounds):
        measured = {}
        for state in ("healthy", "hung"):
            if state == "hung":
                stuck.send_signal(signal.SIGSTOP)
            try:
                with bench.side_load(bound["grpc"], "--domain", STUCK, "--rate", "20",
                                     "--duration", "60s"):
                    measured[state] = bench.load(bound["grpc"], "--domain", OTHER, "--concurrency",
                                                 "4", "--duration", f"{SECONDS}s")
            finally:
                stuck.send_signal(signal.SIGCONT)
            time.sleep(SETTLE_SECONDS)
        assert measured["hung"]["failed"] == 0, measured["hung"]["errors"]
        rates.append({k: v["ok_per_second"] for k, v in measured.items()})
        ratios.append(rates[-1]["hung"] / rates[-1]["healthy"])
    bench.stop()
    return ratios, (f"{statistics.median(r['hung'] for r in rates):.0f} against "
                    f"{statistics.median(r['healthy'] for r in rates):.0f} pictures/s of {OTHER}; "
                    f"{STUCK} asked 20 times a second")


def slow_replica(bench, rounds):
    """p99 of a domain with two replicas, one of which answers ten whole requests later."""
    flags, _ = fleet(bench, skip=(OTHER,))
    first, _ = bench.expert("replica-1", OTHER)
    second, _ = bench.expert("replica-2", OTHER)
    proxy = DelayProxy(second)
    bound, _ = bench.router(*flags, "--expert", f"{OTHER}={first},{proxy.address}")
    asked = ["--domain", OTHER, "--concurrency", "2", "--duration", f"{2 * SECONDS}s"]
    ratios, times = [], []
    for _ in range(rounds):
        proxy.delay = 0.0
        time.sleep(SETTLE_SECONDS)
        healthy = bench.load(bound["grpc"], *asked)["latency_ms"]
        proxy.delay = 10 * healthy["p50"] / 1e3
        slow = bench.load(bound["grpc"], *asked)["latency_ms"]
        times.append((slow["p99"], healthy["p99"], proxy.delay * 1e3))
        ratios.append(slow["p99"] / healthy["p99"])
    proxy.stop()
    bench.stop()
    slow, healthy, delay = (statistics.median(column) for column in zip(*times))
    return ratios, f"{slow:.1f} against {healthy:.1f} ms; {delay:.0f} ms of delay"


def cancelled_calls(bench):
    """Growth of a router whose callers cancel 200 pictures a second of a hung expert, MiB/min."""
    flags, processes = fleet(bench)
    bound, router = bench.router(*flags)
    small = bench.bin_dir.parent / "bench-small-pictures"  # Large ones would not come to the expert.
    subprocess.run([bench.bin_dir / "draw_pictures", small, "256"], check=True)
    processes[STUCK].send_signal(signal.SIGSTOP)
    try:
        with subprocess.Popen(
                [bench.bin_dir / "bench_cancel", "--server", bound["grpc"], "--images",
                 str(small), "--domain", STUCK, "--rate", "200", "--seconds", "110",
                 "--after-ms", "50"], stdout=subprocess.PIPE, text=True) as client:
            time.sleep(45)  # Pools, arenas and estimates fill.
            samples = []
            for _ in range(60):
                samples.append(resident_mib(router))
                time.sleep(1)
            said = json.loads(client.communicate(timeout=120)[0])
    finally:
        processes[STUCK].send_signal(signal.SIGCONT)
        bench.stop()
    print(f"resident MiB, a second each: {[round(s, 1) for s in samples]}", flush=True)
    # The lower envelope: what is held for good, and not what a burst borrows.
    growth = min(samples[-10:]) - min(samples[:10])
    return growth, said


def shed(metrics):
    """orchard_shed_total by reason, of a router's metrics page."""
    page = urllib.request.urlopen(f"http://{metrics}/metrics", timeout=10).read().decode()
    counts = {}
    for line in page.splitlines():
        if line.startswith("orchard_shed_total{") and not line.endswith(" 0"):
            name, value = line.rsplit(" ", 1)
            reason = name.split('reason="')[1].split('"')[0]
            counts[reason] = counts.get(reason, 0) + int(float(value))
    return counts


def overload(bench, steps=(.5, .75, 1, 1.25, 1.5, 2, 2.5, 3), deadline="1s"):
    """Goodput of an embedded router on one core, asked by a client on another."""
    cores = sorted(os.sched_getaffinity(0))
    server_core, client_core = (["taskset", "-c", str(cores[i])] for i in (0, -1))
    bound, router = bench.router(prefix=server_core)
    capacity = bench.load(bound["grpc"], "--concurrency", "8", "--duration", f"{SECONDS}s",
                          prefix=client_core)["ok_per_second"]
    rows = []
    for step in steps:
        before = shed(bound["metrics"])
        result = bench.load(bound["grpc"], "--rate", f"{step * capacity:.1f}", "--timeout", deadline,
                            "--slo", deadline, "--duration", f"{2 * SECONDS}s", "--max-outstanding",
                            "20000", prefix=client_core)
        after = shed(bound["metrics"])
        rows.append({"step": step, "goodput": result["goodput_per_second"], "ok": result["ok"],
                     "planned": result["planned"], "p50": result["latency_ms"]["p50"],
                     "p99": result["latency_ms"]["p99"], "max": result["latency_ms"]["max"],
                     "errors": result["errors"], "memory": resident_mib(router),
                     "shed": {k: v - before.get(k, 0) for k, v in after.items()
                              if v > before.get(k, 0)}})
        print(rows[-1], flush=True)
    bench.stop()
    return capacity, rows


def ratio_row(what, budget, ratios, detail):
    return (f"| {what} | {budget} | {statistics.median(ratios):.2f} ({min(ratios):.2f} to "
            f"{max(ratios):.2f}) | {detail} |")


def faults_table(make_bench, rounds):
    hung = hung_expert(make_bench(), rounds)
    print(hung, flush=True)
    slow = slow_replica(make_bench(), rounds)
    print(slow, flush=True)
    growth, said = cancelled_calls(make_bench())
    return "\n".join([
        f"{rounds} rounds, with and without the fault in turn; medians (smallest to largest).",
        "",
        "| what | budget | measured | detail |",
        "|---|---|---|---|",
        ratio_row("throughput of another domain, one expert hung / healthy", "≥ 0.95", *hung),
        ratio_row("p99, one replica of two slow / two healthy ones", "≤ 1.50", *slow),
        f"| growth of the router while 200 calls a second to a hung expert are cancelled | "
        f"< 1 MiB/min | {growth:.2f} MiB/min | {said['sent']} sent, {said['cancelled']} cancelled, "
        f"{said['refused']} refused |",
    ])


def overload_table(make_bench):
    capacity, rows = overload(make_bench())
    peak = max(row["goodput"] for row in rows)
    lines = [
        f"Open loop (Poisson), deadline 1 s, the embedded router on one core and the client on "
        f"another; capacity (closed loop) {capacity:.0f} pictures/s. Goodput at "
        f"{rows[-1]['step']:g} × is {rows[-1]['goodput'] / peak:.2f} of its peak (budget ≥ 0.95).",
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
