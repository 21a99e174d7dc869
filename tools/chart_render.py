"""What is made from the chart: golden renders and the Kustomize base, both by helm template.

Everything here is text: what helm prints is kept as it prints it, so that a change of a template is
seen in a diff as the cluster would see it.
"""

import os
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
CHART = ROOT / "deploy/helm/orchard"
VALUES = ROOT / "tests/deploy/values"
GOLDEN = ROOT / "tests/deploy/golden"
KUSTOMIZE = ROOT / "deploy/kustomize"

# The cluster that renders are for: newer than every feature that a value may ask for.
KUBERNETES = "1.35.0"
LONGEST_TEXT = 60  # lines of one text in a golden: a dashboard would bury the rest

KUSTOMIZATION = """\
# The chart with its default values, for who doesn't use helm; made by ./dev chart.
# An overlay names the namespace and the images: see docs/kubernetes.md.
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
- orchard.yaml
"""


class RenderError(Exception):
    """helm refused; the text is what it said."""


def helm(*arguments):
    """Runs helm, built once by tools/cluster-tools. Raises RenderError with its message."""
    built = subprocess.run([ROOT / "tools/cluster-tools", "helm"], stdout=subprocess.PIPE, text=True,
                           check=True)
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}  # no plugins, no settings
    run = subprocess.run([built.stdout.strip(), *map(str, arguments)], capture_output=True, text=True,
                         check=False, env=environment)
    if run.returncode != 0:
        raise RenderError((run.stderr + run.stdout).strip())
    return run.stdout


def template(*arguments, values=None):
    """Every object of the chart as YAML text. `values`: a file over the defaults."""
    files = ["--values", values] if values else []
    return helm("template", "orchard", CHART, "--namespace", "orchard", "--kube-version", KUBERNETES,
                *files, *arguments)


def shortened(text):
    """`text` with each block scalar of more than LONGEST_TEXT lines replaced by a word about it."""
    lines, out = text.split("\n"), []
    at = 0
    while at < len(lines):
        out.append(lines[at])
        opening = re.match(r"( *)[^#\s].*: \|[-+]?$", lines[at])
        at += 1
        if not opening:
            continue
        end = at
        indent = len(opening[1])
        while end < len(lines) and (not lines[end].strip() or
                                    len(lines[end]) - len(lines[end].lstrip()) > indent):
            end += 1
        body = lines[at:end]
        if len(body) > LONGEST_TEXT:
            body = [" " * (indent + 2) + "(left out of this golden: a long text)"]
        out += body
        at = end
    return "\n".join(out)


def golden_names():
    return ["default", *sorted(path.stem for path in VALUES.glob("*.yaml"))]


def golden(name):
    values = VALUES / f"{name}.yaml"
    return shortened(template(values=values if values.exists() else None))


def kustomize_base():
    """The default objects without what only helm knows: its labels and its test."""
    out = []
    for document in re.split(r"^---\n", template(), flags=re.MULTILINE):
        if document.strip() and "helm.sh/hook" not in document:
            document = re.sub(r"^ *(helm\.sh/chart|app\.kubernetes\.io/managed-by): .*\n", "", document,
                              flags=re.MULTILINE)
            document = re.sub(r"^# Source: .*\n", "", document, flags=re.MULTILINE)
            out.append(document)
    return "---\n".join(out)
