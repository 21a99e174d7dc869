"""A Prometheus beside routers and experts on this machine: on loopback, at a port that it finds
itself, with deploy/prometheus's own configuration and rules, and storage that goes with it.

Used by tools/demo (DASH=1), tools/boards and tests/deploy. Nothing here reads a clock to decide;
waits end at a deadline.
"""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy/prometheus"
PATIENCE_S = 60
POLL_S = 0.1
LISTENS = "0A"  # the state of a socket in /proc/net/tcp


class MonitoringError(Exception):
    """What keeps Prometheus from running or answering, in words for the person at the terminal."""


def ports_of(pid):
    """TCP ports on which a process of ours listens."""
    sockets = set()
    with contextlib.suppress(OSError):  # It may be ending.
        for descriptor in pathlib.Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                sockets.update(re.findall(r"^socket:\[(\d+)\]$", os.readlink(descriptor)))
    ports = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):  # no IPv6
            for line in pathlib.Path(table).read_text(encoding="ascii").splitlines()[1:]:
                field = line.split()
                if field[3] == LISTENS and field[9] in sockets:
                    ports.add(int(field[1].rsplit(":", 1)[1], 16))
    return ports


def replaced(text, changes):
    """`text` with each of `changes` made. A text that is not there is a mistake of ours."""
    for old, new in changes.items():
        if old not in text:
            raise MonitoringError(f"deploy/prometheus does not say {old!r} any more")
        text = text.replace(old, new)
    return text


def configuration(routers, experts, scrape_s, rules):
    """deploy/prometheus/prometheus.yml for these addresses, without an Alertmanager."""
    text = (DEPLOY / "prometheus.yml").read_text(encoding="utf-8")
    return replaced(text, {
        '["127.0.0.1:8002"]': json.dumps(routers), '["127.0.0.1:8012"]': json.dumps(experts),
        '["127.0.0.1:9093"]': "[]", "interval: 15s": f"interval: {scrape_s}s",
        "rules/*.yaml": f"{rules}/*.yaml"})


class Prometheus:
    """One process; `with` starts and stops it.

    `routers`, `experts`: metrics addresses. `window`: instead of the five minutes of the recorded
    rates, for runs that are shorter than that.
    """

    def __init__(self, routers, experts, scrape_s=1, window="5m"):
        self.targets, self.scrape_s, self.window = (routers, experts), scrape_s, window
        self.folder = self.process = self.address = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        program = shutil.which("prometheus")
        if not program:
            raise MonitoringError("prometheus is missing: run ./dev deps")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="orchard-prometheus-"))
        try:
            self._start(program)
        except BaseException:
            self.stop()
            raise

    def _start(self, program):
        rules = self.folder / "rules"
        rules.mkdir()
        for file in (DEPLOY / "rules").glob("*.yaml"):
            text = file.read_text(encoding="utf-8")
            (rules / file.name).write_text(text.replace("[5m]", f"[{self.window}]"), encoding="utf-8")
        config = self.folder / "prometheus.yml"
        config.write_text(configuration(*self.targets, self.scrape_s, rules), encoding="utf-8")
        with open(self.folder / "log", "w", encoding="utf-8") as log:
            # A group of its own, so that Ctrl-C reaches it in its turn; and it ends with us.
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", program, f"--config.file={config}",
                 f"--storage.tsdb.path={self.folder / 'data'}", "--web.listen-address=127.0.0.1:0",
                 "--log.level=warn"],
                stdout=log, stderr=log, process_group=0)
        self._await_ready()

    def _await_ready(self):
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise MonitoringError(f"prometheus ended with {self.process.returncode}:\n{self.log()}")
            for port in ports_of(self.process.pid):
                self.address = f"127.0.0.1:{port}"
                with contextlib.suppress(OSError):
                    with urllib.request.urlopen(f"http://{self.address}/-/ready", timeout=5):
                        return
            time.sleep(POLL_S)
        raise MonitoringError(f"prometheus was not ready within {PATIENCE_S} s:\n{self.log()}")

    def log(self):
        return (self.folder / "log").read_text(encoding="utf-8").strip()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process = None
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = None

    def _ask(self, what, **parameters):
        url = f"http://{self.address}/api/v1/{what}"
        form = urllib.parse.urlencode(parameters).encode() if parameters else None
        try:
            with urllib.request.urlopen(url, data=form, timeout=PATIENCE_S) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            said = error.read().decode(errors="replace")
            with contextlib.suppress(ValueError, KeyError):
                said = json.loads(said)["error"]
            raise MonitoringError(f"{parameters.get('query', what)}: {said}") from error

    def query(self, expression):
        """[(labels, value)] at this moment."""
        data = self._ask("query", query=expression)
        if data["resultType"] == "scalar":
            return [({}, float(data["result"][1]))]
        return [(series["metric"], float(series["value"][1])) for series in data["result"]]

    def query_range(self, expression, start, end, step):
        """[(labels, [(seconds since 1970, value)])]"""
        data = self._ask("query_range", query=expression, start=start, end=end, step=step)
        return [(series["metric"], [(at, float(value)) for at, value in series["values"]])
                for series in data["result"]]

    def rules(self):
        """The rule groups, with the health of each rule."""
        return self._ask("rules")["groups"]

    def names(self):
        """Of all metrics that it has."""
        return self._ask("label/__name__/values")

    def graph_url(self, expression, minutes=15):
        """A page of Prometheus itself that draws `expression` as areas on each other."""
        return f"http://{self.address}/graph?" + urllib.parse.urlencode({
            "g0.expr": expression, "g0.tab": 0, "g0.stacked": 1, "g0.range_input": f"{minutes}m"})


def filled_in(expression, rate_interval):
    """A query of a board as Grafana would send it with "All" chosen everywhere."""
    text = expression.replace("$__rate_interval", rate_interval)
    return re.sub(r"\$(namespace|model|domain)\b", ".*", text)


def board_panels(name):
    """The panels with queries of deploy/grafana/<name>.json."""
    board = json.loads((ROOT / f"deploy/grafana/{name}.json").read_text(encoding="utf-8"))
    return [panel for panel in board["panels"] if panel["type"] != "row"]
