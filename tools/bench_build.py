"""How long a build takes: `./dev bench build`."""

import os
import shutil
import subprocess
import time

import bench_runs

# A source file of the middle of each program, and the program.
CHANGED = {"router/pipeline.cc": "orchard-router", "experts/expert_service.cc": "orchard-expert",
           "training/studies/masked_moe/fit.cc": "orchard-train", "clients/cpp/client.cc": "orchard"}


def timed(command):
    begin = time.monotonic()
    ran = subprocess.run(command, cwd=bench_runs.ROOT, env=dict(os.environ, CCACHE_DISABLE="1"),
                         capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        raise bench_runs.BenchError(f"{command} failed:\n{ran.stdout}{ran.stderr}")
    return time.monotonic() - begin


def measure(folder):
    """Seconds of a build from nothing, and of one object and the link of its program, each."""
    shutil.rmtree(folder, ignore_errors=True)
    configure = timed(["cmake", "--preset", "release", "-B", folder])
    clean = configure + timed(["cmake", "--build", folder])
    changed = {}
    for source, program in CHANGED.items():
        top, rest = source.split("/", 1)
        (compiled,) = folder.glob(f"{top}/CMakeFiles/*/{rest}.o")
        compiled.unlink()  # Has the same effect as a change, and leaves the tree as it is.
        changed[f"`{source}` to `{program}`"] = timed(
            ["cmake", "--build", folder, "--target", program])
    shutil.rmtree(folder)
    return clean, changed


def table(folder):
    clean, changed = measure(folder)
    return "\n".join([
        f"{bench_runs.processor()}, {os.cpu_count()} cores, release preset with all tests, no "
        "compiler cache.",
        "",
        "| what | budget | measured |",
        "|---|---|---|",
        f"| build from nothing | ≤ 12 min | {clean / 60:.1f} min |",
        *(f"| one changed file: {what} | ≤ 20 s | {seconds:.1f} s |"
          for what, seconds in changed.items()),
    ])
