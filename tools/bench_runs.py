"""One build under measurement: its programs, its processes, and what they make of the pictures.

Servers are asked by `orchard bench`, everything on loopback.
"""

import importlib.machinery
import importlib.util
import json
import os
import pathlib
import platform
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
FREE = "127.0.0.1:0"
QUIET_PICTURES = 200  # at low load, where a picture takes little of the machine


class BenchError(Exception):
    """Something that makes a measurement fail, in words for the person at the terminal."""


def load_demo():
    """The demo's process handling; its file has no .py at the end, so it is loaded by hand."""
    loader = importlib.machinery.SourceFileLoader("orchard_demo", str(ROOT / "tools/demo"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("orchard_demo", loader))
    sys.dont_write_bytecode = True
    loader.exec_module(module)
    return module


demo = load_demo()


def run_json(command):
    """The JSON object that a program prints, whatever its exit code. Errors: what it said instead."""
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if not run.stdout:
        raise BenchError(f"{pathlib.Path(command[0]).name} ended with {run.returncode}: "
                         f"{run.stderr.strip()}")
    return json.loads(run.stdout)


class Build:
    """The programs of one build, and what was started of them, on one model and its pictures."""

    def __init__(self, bin_dir, model_dir, images, logs, client=None):
        """`client`: the `orchard` that asks its servers; its own where none is given."""
        self.bin_dir, self.images = bin_dir, images
        self.client = client or bin_dir / "orchard"
        self.model = ["--model", str(model_dir)]
        self.domains = demo.domains_of(model_dir)
        logs.mkdir(parents=True, exist_ok=True)
        self.processes = demo.Processes(logs)

    def pipeline(self, mode, threads, pictures):
        """What `bench_pipeline` says: {"pictures_per_second": …, "p50_ms": …, …}."""
        return run_json([self.bin_dir / "bench_pipeline", "--mode", mode, *self.model, "--threads",
                         str(threads), "--images", str(self.images), "--pictures", str(pictures)])

    def expert(self, name, domain):
        """Its gRPC address, and its process."""
        bound = self.processes.start(name, [
            self.bin_dir / "orchard-expert", *self.model, "--domain", domain, "--listen", FREE,
            "--metrics-listen", FREE])
        return bound["grpc"], self.processes.running[-1][1]

    def router(self, *flags, name="router", prefix=()):
        """Its addresses by name, and its process."""
        command = demo.router_command(self.bin_dir, self.model, [FREE] * 3)
        bound = self.processes.start(name, [*prefix, *command, *flags])
        return bound, self.processes.running[-1][1]

    def fleet(self, skip=()):
        """An expert a domain: the router's flags, and the processes by domain."""
        flags, processes = [], {}
        for domain in self.domains:
            if domain in skip:
                continue
            address, processes[domain] = self.expert(f"expert-{domain}", domain)
            flags += ["--expert", f"{domain}={address}"]
        return flags, processes

    def command(self, server, *flags, warm_up="1s"):
        return [self.client, "bench", "--json", "--server", server, "--warmup", warm_up, *flags,
                str(self.images)]

    def load(self, server, *flags, prefix=(), warm_up="1s"):
        """What `orchard bench` says of `server` (docs/clients.md), failures and all."""
        return run_json([*prefix, *self.command(server, *flags, warm_up=warm_up)])

    def closed_loop(self, server, in_flight, pictures):
        """The same for `pictures` pictures, each of which must be answered by all its experts."""
        said = run_json(self.command(server, "--concurrency", str(in_flight), "--requests",
                                     str(pictures), "--timeout", "30s", warm_up="0s"))
        if said["ok"] < said["planned"] or said["degraded"] > 0:
            raise BenchError(f"{said['planned'] - said['ok']} of {said['planned']} pictures failed "
                             f"({said['errors']}), {said['degraded']} were answered without all "
                             f"experts; logs are in {self.processes.logs}")
        return said

    def stop(self):
        self.processes.stop_all()


# What a budget and a comparison measure of a build, by name.

def of_pipeline(build, mode, threads, pictures):
    """Rates without a wire; of "forward" the time of a picture in one thread."""
    if mode == "forward":
        return {"forward_ms": build.pipeline(mode, 1, pictures)["p50_ms"]}
    return {mode: build.pipeline(mode, threads, pictures)["pictures_per_second"]}


def of_server(build, name, server, threads, pictures):
    """`name`: pictures a second with two in flight for each thread; and the caller's wait."""
    said = build.closed_loop(server, 2 * threads, pictures)
    return {name: said["ok_per_second"], f"{name}_p50": said["latency_ms"]["p50"],
            f"{name}_p99": said["latency_ms"]["p99"], f"{name}_experts": said["experts_asked"]}


def of_quiet_server(build, server, pictures):
    """The caller's wait, one picture after another; decoding is the picture's share, not ours."""
    said = build.closed_loop(server, 1, min(pictures, QUIET_PICTURES))
    return {"quiet_ms": said["without_decode_ms"]["p50"]}


def planning(build):
    """A step of planning with 200 domains of 10 endpoints each, by the policy that takes longest:
    its microseconds of CPU, and its name."""
    said = run_json([build.bin_dir / "bench_router", "--benchmark_format=json",
                     "--benchmark_filter=^BM_PlanStep/.*/domains:200/endpoints:10$"])
    return max((run["cpu_time"] / 1000, run["label"]) for run in said["benchmarks"])  # From ns.


def overhead_ms(figures):
    return figures["quiet_ms"] - figures["forward_ms"]


def say_round(number, rounds, figures):
    """A line for whoever waits; the figures to four digits."""
    def short(value):
        return ({name: short(inner) for name, inner in value.items()} if isinstance(value, dict)
                else float(f"{value:.4g}"))
    print(f"round {number + 1} of {rounds}: {short(figures)}", flush=True)


def timed(start):
    """What `start()` returns, and its seconds."""
    begin = time.monotonic()
    started = start()
    return started, time.monotonic() - begin


def private_mib(process):
    """Anonymous and private file pages of a process, MiB."""
    text = pathlib.Path(f"/proc/{process.pid}/smaps_rollup").read_text(encoding="ascii")
    kib = sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Private_"))
    return kib / 1024


def cpu_seconds(process):
    """User and system time of a process so far, in steps of the kernel's clock tick."""
    text = pathlib.Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii")
    user, system = text.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


# What tables have in common.

def processor():
    return next((line.split(":")[1].strip() for line in
                 pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
                 if line.startswith("model name")), platform.machine())


def pictures_text(images):
    sizes = sorted(p.stat().st_size for p in pathlib.Path(images).iterdir())
    return f"{len(sizes)} pictures, median {sizes[len(sizes) // 2] // 1000} kB"


def write(section, text, name="docs/performance.md"):
    """Puts `text` between the section's marks in a page."""
    begin, end = f"<!-- {section}: begin -->", f"<!-- {section}: end -->"
    page = ROOT / name
    whole = page.read_text(encoding="utf-8")
    before, rest = whole.split(begin)
    after = rest.split(end)[1]
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")
