"""Charts as SVG by gnuplot, several on a page: what a board's panels show, for the documents."""

import dataclasses
import math
import pathlib
import subprocess

COLUMNS = 2
WIDTH, HEIGHT = 480, 240  # of a chart, pixels
COLOURS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f",
           "#bcbd22", "#17becf")
UNITS = {"percentunit": ("%", 100), "s": ("ms", 1000), "cps": ("a second", 1), "none": ("", 1),
         "bytes": ("MiB", 2**-20)}


class PlotError(Exception):
    """Why gnuplot drew nothing."""


@dataclasses.dataclass
class Chart:
    """Lines or, with `stack`, areas on each other. `lines`: [(legend, [(seconds, value)])]."""

    title: str
    unit: str
    lines: list
    stack: bool
    limit: float | None

    @classmethod
    def of_panel(cls, panel, lines):
        """What a panel of deploy/grafana shows when these lines came back."""
        settings = panel["fieldConfig"]["defaults"]
        limits = [step["value"] for step in settings["thresholds"]["steps"]
                  if step["value"] is not None]
        return cls(panel["title"], settings["unit"], lines,
                   settings["custom"]["stacking"]["mode"] == "normal", limits[0] if limits else None)


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def stacked(lines):
    """[(legend, [(seconds, below, above)])]: each on the sum of those before it."""
    height, found = {}, []
    for legend, points in lines:
        band = []
        for at, value in points:
            below = height.get(at, 0.0)
            value = 0.0 if math.isnan(value) else value
            height[at] = below + value
            band.append((at, below, below + value))
        found.append((legend, band))
    return found


def data_rows(points, scale):
    """A line of numbers a point; an empty one, which ends a stroke, where points are missing."""
    there = [point for point in points if not any(math.isnan(value) for value in point)]
    steps = [after[0] - before[0] for before, after in zip(points, points[1:])]
    step = min(steps, default=0)
    for number, point in enumerate(there):
        if number and point[0] - there[number - 1][0] > 1.5 * step:
            yield ""
        yield " ".join([f"{point[0]:.0f}"] + [f"{value * scale:.4g}" for value in point[1:]])


def chart_script(number, chart, marks, seconds):
    """What gnuplot is told for one chart."""
    unit, scale = UNITS[chart.unit]
    script, plots = [], []
    # A part that was never there is no area.
    lines = (stacked([line for line in chart.lines if any(value > 0 for _, value in line[1])])
             if chart.stack else chart.lines)
    for n, (legend, points) in enumerate(lines):
        rows = "\n".join(data_rows(points, scale))
        script.append(f"$data_{number}_{n} << END\n{rows}\nEND")
        style = (f"using 1:2:3 with filledcurves fillcolor rgb '{COLOURS[n % len(COLOURS)]}'"
                 if chart.stack else
                 f"using 1:2 with lines linewidth 1.5 linecolor rgb '{COLOURS[n % len(COLOURS)]}'")
        plots.append(f"$data_{number}_{n} {style} title {quoted(legend)}")
    top = max([value * scale for _, points in lines for point in points for value in point[1:]
               if not math.isnan(value)] + [0.0])
    # A limit far above what was is not drawn: it would flatten the rest.
    limit = chart.limit * scale if chart.limit is not None else None
    if limit is not None and limit <= max(3 * top, 1e-9):
        plots.append(f"{limit:g} with lines dashtype 2 linecolor rgb 'red' title 'alert'")
        top = max(top, limit)
    script += ["unset arrow", "unset label",
               f"set title {quoted(chart.title)} noenhanced", f"set ylabel {quoted(unit)}",
               f"set xrange [0:{seconds:.0f}]", f"set yrange [0:{1.25 * top if top else 1:g}]"]
    for at, name in marks:
        script.append(f"set arrow from first {at:.0f}, graph 0 to first {at:.0f}, graph 1 nohead "
                      "linecolor rgb '#999999' dashtype 3")
        script.append(f"set label {quoted(name)} at first {at:.0f}, graph 0.95 offset 0.3,0 "
                      "font ',8' textcolor rgb '#666666' noenhanced front")
    if not plots:
        plots.append("NaN notitle")
    return script + ["plot " + ", \\\n  ".join(plots)]


def draw(file, charts, marks, seconds):
    """Writes `file`. `marks`: [(seconds, what begins then)], `seconds`: the length of all of it."""
    rows = math.ceil(len(charts) / COLUMNS)
    script = ["set encoding utf8",
              f"set terminal svg size {COLUMNS * WIDTH},{rows * HEIGHT} font 'sans,10' background "
              "rgb 'white'",
              f"set output {quoted(str(file))}",
              f"set multiplot layout {rows},{COLUMNS}",
              "set key outside right top font ',8' samplen 1.5 noenhanced",
              "set style fill solid 0.8 noborder", "set xlabel 'seconds' offset 0,0.5",
              "set tics font ',8'", "set border 3", "set tics nomirror", "set grid ytics linecolor "
              "rgb '#dddddd' linetype 1"]
    for number, chart in enumerate(charts):
        script += chart_script(number, chart, marks, seconds)
    script.append("unset multiplot")
    done = subprocess.run(["gnuplot"], input="\n".join(script) + "\n", text=True, capture_output=True,
                          check=False)
    if done.returncode != 0 or not pathlib.Path(file).exists():
        raise PlotError(f"gnuplot: {done.stderr.strip()}")
