"""What boards are made of: queries, panels, rows and a whole dashboard, as Grafana's JSON.

Thresholds and runbooks come from the alert rules (`alert`): a limit is written there and nowhere
else. Nothing here knows what is shown; that is boards.py.
"""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
RULES = ROOT / "deploy/prometheus/rules"
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH = 24  # Grafana's grid
HEIGHT = 8
FEW = 5  # lines that an eye can follow

ALERT = re.compile(r"^ +- alert: (\w+)\n(.*?)(?=^ +- alert: |\Z)", re.M | re.S)
LIMIT = re.compile(r"([<>]=?) ([0-9.]+) +# limit")


def read_limits(folder=RULES):
    """{alert: (comparison, value)} of every alert with a limit; (None, None) of the others."""
    limits = {}
    for file in sorted(folder.glob("*.yaml")):
        for name, rule in ALERT.findall(file.read_text(encoding="utf-8")):
            found = LIMIT.search(rule)
            limits[name] = (found[1], float(found[2])) if found else (None, None)
    return limits


LIMITS = read_limits()


# PromQL.

def rate(metric, labels):
    return f"rate({metric}{{{labels}}}[$__rate_interval])"


def total(metric, labels, by=""):
    """The rate of a counter, summed over processes."""
    return f"sum{f' by ({by}) ' if by else ' '}({rate(metric, labels)})"


def ratio(part, whole):
    """Absent where there is nothing to divide by."""
    return f"{part} / ({whole} > 0)"


def share(part, whole):
    """The same of many parts and one whole."""
    return f"{part} / on () group_left () ({whole} > 0)"


def mean(histogram, labels, by=""):
    return ratio(total(f"{histogram}_sum", labels, by), total(f"{histogram}_count", labels, by))


def quantile(share, histogram, labels, by=""):
    groups = f"{by}, le" if by else "le"
    return f"histogram_quantile({share}, {total(f'{histogram}_bucket', labels, groups)})"


def whole_quantile(share, histogram, labels):
    """Of a histogram that counts things: between the edges of a bucket there are none."""
    return f"ceil({quantile(share, histogram, labels)})"


def highest(query):
    """As many series as can be told apart."""
    return f"topk({FEW}, {query})"


# Panels.

def thresholds(comparison, limit):
    """Green up to the limit of an alert and red beyond it, or the other way round."""
    inside, beyond = "green", "red"
    if comparison and comparison.startswith("<"):
        inside, beyond = beyond, inside
    steps = [{"color": inside, "value": None}]
    if limit is not None:
        steps.append({"color": beyond, "value": limit})
    return {"mode": "absolute", "steps": steps}


def link(kind, title, url="", **more):
    """Every field, as Grafana's schema asks for it."""
    return {"type": kind, "title": title, "url": url, "icon": "doc", "tooltip": "", "tags": [],
            "asDropdown": False, "includeVars": False, "keepTime": False, "targetBlank": True} | more


def links(alert, section):
    """To the runbook of the panel's alert, else to what the documents say of the board."""
    if alert:
        return [link("link", f"Runbook: {alert}", f"${{docs}}/operations.md#{alert.lower()}")]
    return [link("link", "How to read this", f"${{docs}}/observability.md#{section}")]


def _panel(kind, title, unit, queries, about, alert, width, custom, most):
    comparison, limit = LIMITS[alert] if alert else (None, None)
    defaults = {"unit": unit, "min": 0, "thresholds": thresholds(comparison, limit),
                "color": {"mode": "palette-classic" if kind == "timeseries" else "thresholds"},
                "custom": custom}
    if most is not None:
        defaults["max"] = most
    return {
        "type": kind, "title": title, "description": about, "datasource": SOURCE,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "targets": [{"refId": chr(ord("A") + n), "datasource": SOURCE, "expr": expr,
                     "legendFormat": legend, "editorMode": "code", "range": kind == "timeseries",
                     "instant": kind != "timeseries"}
                    for n, (legend, expr) in enumerate(queries)],
        "gridPos": {"w": width, "h": HEIGHT if kind == "timeseries" else HEIGHT // 2},
        "alert_of": alert,  # Taken out again by board(), which knows the section to link to.
    }


def graph(title, unit, *queries, about, alert=None, stack=False, width=8, most=None, repeat=None):
    """Lines over time. `queries`: (legend, PromQL), five at most, which give five lines at most;
    with `stack` areas on each other, as many as the whole has parts. `alert`: whose limit is drawn.
    `repeat`: once for each value of this variable."""
    custom = {"drawStyle": "line", "lineWidth": 1, "fillOpacity": 70 if stack else 0,
              "showPoints": "never", "spanNulls": False,
              "stacking": {"mode": "normal" if stack else "none", "group": "A"},
              "thresholdsStyle": {"mode": "dashed" if alert else "off"}}
    panel = _panel("timeseries", title, unit, queries, about, alert, width, custom, most)
    panel["options"] = {
        "legend": {"showLegend": True, "displayMode": "list", "placement": "bottom", "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"}}
    if repeat:
        panel |= {"repeat": repeat, "repeatDirection": "h", "maxPerRow": 3}
    return panel


def stat(title, unit, query, *, about, alert=None, width=3):
    """One number, coloured by its alert's limit."""
    panel = _panel("stat", title, unit, [("", query)], about, alert, width, {}, None)
    panel["options"] = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "background" if alert else "none", "graphMode": "area", "textMode": "value",
        "justifyMode": "auto", "orientation": "auto", "wideLayout": True,
        "showPercentChange": False, "percentChangeColorMode": "standard"}
    return panel


def row(title, *panels, repeat=None):
    """Panels from left to right, in as many lines as they need. `repeat`: once for each value of
    this variable."""
    return {"title": title, "panels": panels, "repeat": repeat}


# Dashboards.

def _variable(name, label, query):
    return {"type": "query", "name": name, "label": label, "datasource": SOURCE, "hide": 0,
            "query": {"query": query, "refId": f"variable-{name}"}, "definition": query,
            "multi": True, "includeAll": True, "allValue": ".*", "refresh": 2, "sort": 1, "regex": "",
            "current": {"selected": True, "text": ["All"], "value": ["$__all"]}, "options": []}


VARIABLES = [
    {"type": "datasource", "name": "datasource", "label": "Data source", "query": "prometheus",
     "hide": 0, "multi": False, "includeAll": False, "refresh": 1, "regex": "", "options": [],
     "current": {"selected": False, "text": "default", "value": "default"}},
    # Where the documents are: links of panels begin with it. Put your own copy here.
    {"type": "constant", "name": "docs", "label": "Documents", "hide": 2,
     "query": "https://orchard.example/docs",
     "current": {"selected": True, "text": "https://orchard.example/docs",
                 "value": "https://orchard.example/docs"}, "options": []},
    _variable("namespace", "Namespace", "label_values(orchard_build_info, namespace)"),
    _variable("model", "Model",
              'label_values(orchard_model_info{namespace=~"$namespace"}, model)'),
    _variable("domain", "Domain",
              'label_values(orchard_routed_images_total{namespace=~"$namespace",model=~"$model"}, '
              'domain)'),
]


def _place(rows, section):
    """The flat list of panels that Grafana wants: each with its number and its place on the grid."""
    placed, top = [], 0
    for line in rows:
        placed.append({"type": "row", "title": line["title"], "collapsed": False, "panels": [],
                       "gridPos": {"x": 0, "y": top, "w": WIDTH, "h": 1}})
        if line["repeat"]:
            placed[-1]["repeat"] = line["repeat"]
        top += 1
        left, tallest = 0, 0
        for panel in line["panels"]:
            grid = panel["gridPos"]
            if left + grid["w"] > WIDTH:
                left, top, tallest = 0, top + tallest, 0
            alert = panel["alert_of"]
            placed.append({name: value for name, value in panel.items() if name != "alert_of"} |
                          {"gridPos": {"x": left, "y": top, **grid}, "links": links(alert, section)})
            left, tallest = left + grid["w"], max(tallest, grid["h"])
        top += tallest
    for number, panel in enumerate(placed, start=1):
        panel["id"] = number
    return placed


def board(uid, title, section, rows):
    """A dashboard. `section`: the heading of docs/observability.md that says how to read it."""
    return {
        "uid": uid, "title": title, "tags": ["orchard"], "schemaVersion": 38, "version": 1,
        "editable": True, "graphTooltip": 1, "refresh": "30s", "timezone": "browser",
        "time": {"from": "now-1h", "to": "now"}, "fiscalYearStartMonth": 0, "id": None,
        "annotations": {"list": [{
            "name": "Alerts", "enable": True, "iconColor": "red", "datasource": SOURCE,
            "expr": 'ALERTS{alertname=~"Orchard.*",alertname!="OrchardWatchdog",'
                    'alertstate="firing",namespace=~"$namespace"}',
            "titleFormat": "{{alertname}}", "textFormat": "{{domain}}", "step": "30s"}]},
        "links": [link("dashboards", "Boards", tags=["orchard"], asDropdown=True, includeVars=True,
                       keepTime=True, targetBlank=False, icon="external link")],
        "templating": {"list": VARIABLES},
        "panels": _place(rows, section),
    }
