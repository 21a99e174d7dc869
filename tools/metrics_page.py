"""Reads what a /metrics page of ours says (Prometheus' text format, without timestamps)."""

import re
import urllib.request

SERIES = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
LABEL = re.compile(r'(\w+)="([^"]*)"')


def page(address, timeout_s=10):
    """The page of a process whose metrics are at HOST:PORT."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=timeout_s) as answer:
        return answer.read().decode()


def series(text, name, **labels):
    """[(labels, value)] of a metric's series that have these labels."""
    found = ((dict(LABEL.findall(its)), float(value))
             for metric, its, value in SERIES.findall(text) if metric == name)
    return [(its, value) for its, value in found if labels.items() <= its.items()]


def total(text, name, **labels):
    """The sum of a metric's series that have these labels; 0 without any."""
    return sum(value for _, value in series(text, name, **labels))
