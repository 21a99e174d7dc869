"""What the tests of rules and boards share: which metrics there are, and which a query names."""

import functools
import re

from debian_yaml import yaml

import tree

RULES = tree.ROOT / "deploy/prometheus/rules"

# What Prometheus makes itself.
BUILT_IN = {"up", "ALERTS"}

WORDS = {"by", "without", "on", "ignoring", "group_left", "group_right", "and", "or", "unless", "bool",
         "offset", "inf", "nan"}
ROW = re.compile(r"^\| `([a-z_]+)` \| (gauge|counter|histogram) \|([^|]*)\|", re.M)


def listed_metrics():
    """{series: labels} of docs/metrics.md, histograms as their three series."""
    text = (tree.ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    series = {}
    for name, kind, labels in ROW.findall(text):
        found = set(re.findall(r"`(\w+)`", labels))
        if kind != "histogram":
            series.setdefault(name, set()).update(found)
            continue
        for suffix in ("bucket", "sum", "count"):
            series.setdefault(f"{name}_{suffix}", set()).update(
                found | ({"le"} if suffix == "bucket" else set()))
    return series


@functools.lru_cache(maxsize=None)
def groups():
    """The rule groups of every file, with `file` in each rule."""
    found = []
    for file in sorted(RULES.glob("*.yaml")):
        for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]:
            found.append(group | {"rules": [rule | {"file": file.name} for rule in group["rules"]]})
    return found


def rules(kind):
    """{name: rule} of all `alert` or `record` rules."""
    return {rule[kind]: rule for group in groups() for rule in group["rules"] if kind in rule}


def names(expression):
    """The metrics that an expression reads."""
    text = re.sub(r"#.*", " ", expression)
    text = re.sub(r"\"(\\.|[^\"\\])*\"", '""', text)
    text = re.sub(r"\{[^}]*\}|\[[^\]]*\]", " ", text)
    text = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", r"\1", text)
    found = set()
    for match in re.finditer(r"(?<![\w.])[a-zA-Z_:][\w:]*", text):
        is_function = re.match(r"\s*\(", text[match.end():])
        # `sum by (x) (…)` and `a or (b)`: words are no metrics whatever follows.
        if match[0].lower() not in WORDS and not is_function and not _aggregates(text, match):
            found.add(match[0])
    return found


def _aggregates(text, match):
    """`sum by (…) (…)`, after `by (…)` has become `by`."""
    return re.match(r"\s+(by|without)\b", text[match.end():])


def faults(expression, known):
    """Metrics of an expression that are not `known`."""
    return sorted(names(expression) - known - BUILT_IN)


def all_known():
    """Metrics of the list and recorded series."""
    return set(listed_metrics()) | set(rules("record"))
