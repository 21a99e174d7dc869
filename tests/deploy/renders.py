"""The golden renders as objects, and the places of what they talk about."""

import functools
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(os.environ.get("ORCHARD_SOURCE_DIR") or pathlib.Path(__file__).resolve().parents[2])
BIN = pathlib.Path(os.environ.get("ORCHARD_BIN_DIR") or ROOT / "build/release/bin")
GOLDEN = ROOT / "tests/deploy/golden"

sys.path.insert(0, str(ROOT / "tools"))
from debian_yaml import yaml  # noqa: E402  (its folder is on the path only now)


def names():
    return sorted(path.stem for path in GOLDEN.glob("*.yaml"))


@functools.cache
def objects(name):
    """Every object of a golden."""
    text = (GOLDEN / f"{name}.yaml").read_text(encoding="utf-8")
    return [document for document in yaml.safe_load_all(text) if document]


def of_kind(name, *kinds):
    return [o for o in objects(name) if o["kind"] in kinds]


def label(o):
    """How a message names an object."""
    return f"{o['kind']} {o['metadata']['name']}"


def by_name(name, kind):
    return {o["metadata"]["name"]: o for o in of_kind(name, kind)}


def pods(name):
    """(object, labels of its pods, their spec) of every Deployment and Pod."""
    for o in of_kind(name, "Deployment"):
        template = o["spec"]["template"]
        yield o, template["metadata"]["labels"], template["spec"]
    for o in of_kind(name, "Pod"):
        yield o, o["metadata"]["labels"], o["spec"]


def containers(spec):
    return spec.get("initContainers", []) + spec["containers"]


def selects(selector, labels):
    return all(labels.get(key) == value for key, value in selector.items())


def settings(name):
    """(ConfigMap, file, TOML text) of every settings file."""
    for o in of_kind(name, "ConfigMap"):
        for file, text in o.get("data", {}).items():
            if file.endswith(".toml"):
                yield o, file, text


@functools.cache
def flags(program):
    """The flags in `program --help`, without dashes; None where it isn't built."""
    binary = BIN / program
    if not binary.is_file():
        return None
    text = subprocess.run([binary, "--help"], capture_output=True, text=True, check=True,
                          timeout=60).stdout
    return set(re.findall(r"^  --([a-z-]+)", text, flags=re.MULTILINE))


def report(faults):
    return "\n" + "\n".join(faults)
