"""What the documents say is true of the programs, the metrics and the tree.

  - a `--flag` beside one of our programs, in a code span or a code block of README.md and docs/, is
    in that program's --help (programs are looked for in $ORCHARD_BIN_DIR; missing ones are skipped);
  - an `orchard_*` metric is in docs/metrics.md;
  - a relative link of any .md file leads to a file, and its #anchor to a heading.
"""

import functools
import os
import pathlib
import re
import subprocess
import unittest
import urllib.parse

import markdown
import tree

PROGRAM = re.compile(r"(?:^|(?<=[\s/(]))(orchard(?:-router|-expert|-train)?)(?=\s|$)")
OTHERS = re.compile(r"\s*(helm|kubectl|kind|docker)\s")  # "orchard" is a release or an image to these
FLAG = re.compile(r"(?:^|(?<=[\s\[(|]))(--[a-z][a-z0-9-]*)")
METRIC = re.compile(r"(?<![\w/.:-])orchard_[a-z0-9_]+\b(?!\()")
SUFFIX = re.compile(r"_(bucket|sum|count)$")  # what Prometheus makes of a histogram

# Words of the build that look like metrics: CMake's functions and targets.
BUILD_WORDS = re.compile(
    r"orchard_(library|binary|test|read_torch_once|bench|opencv|proto|core|rpc|vision|moe|nets|model|server"
    r"|experts|router|training|clients)$")


def documents(root, everywhere=False):
    """README.md and docs/, or every .md file of ours."""
    for path in tree.walk(root):
        if path.suffix == ".md" and (everywhere or path.name == "README.md" or
                                     path.parts[0] == "docs"):
            yield path, (root / path).read_text(encoding="utf-8")


def uses(command):
    """(program, words that follow it, flags) for every program of ours in a command line."""
    for part in re.split(r"[|;&]+|(?<!\S)#\s", command):
        if OTHERS.match(part):
            continue
        places = list(PROGRAM.finditer(part))
        for place, following in zip(places, places[1:] + [None]):
            arguments = part[place.end():following.start() if following else None]
            words = []
            for word in arguments.split():
                if not re.fullmatch(r"[a-z][a-z_-]*", word):
                    break
                words.append(word)
            yield place[1], tuple(words[:2]), FLAG.findall(arguments)


def mentions(text):
    """(line number, program, subcommand words, flag) of a document."""
    for number, command in markdown.commands(text):
        for program, words, flags in uses(command):
            yield from ((number, program, words, flag) for flag in flags)
    for number, line, code in markdown.lines(text):
        if code:
            continue
        line_spans = markdown.spans(line)
        found = [use for span in line_spans for use in uses(span)]
        for program, words, flags in found:
            yield from ((number, program, words, flag) for flag in flags)
        # `orchard-router` takes `--listen`: a flag alone belongs to the one program of its line.
        programs = {(program, words) for program, words, _ in found}
        if len(programs) == 1:
            program, words = programs.pop()
            for span in line_spans:
                if span.startswith("--"):
                    yield from ((number, program, words, flag) for flag in FLAG.findall(span))


@functools.lru_cache(maxsize=None)
def help_text(folder, program, words):
    """What `program --help` and that of its subcommands say; None where it isn't built."""
    binary = pathlib.Path(folder, program)
    if not binary.is_file():
        return None
    texts = []
    for count in range(len(words) + 1):
        run = subprocess.run([binary, *words[:count], "--help"], capture_output=True, text=True,
                             check=False, timeout=60)
        if run.returncode == 0:
            texts.append(run.stdout + run.stderr)
    return "\n".join(texts)


def flag_faults(root, folder, skipped):
    """Flags that no --help knows. Adds programs that aren't built to `skipped`."""
    found = []
    for path, text in documents(root):
        for number, program, words, flag in mentions(text):
            known = help_text(str(folder), program, words)
            if known is None:
                skipped.add(program)
            elif not re.search(rf"(?<![\w-]){flag}(?![\w-])", known):
                name = " ".join((program, *words))
                found.append(f"{path}:{number}: {flag} is not in `{name} --help`")
    return found


def metrics(text):
    """(line number, metric) of a document's code."""
    for number, line, code in markdown.lines(text):
        for piece in [line] if code else markdown.spans(line):
            for name in METRIC.findall(piece):
                if not BUILD_WORDS.match(name):
                    yield number, name


def metric_faults(root):
    """Metrics that docs/metrics.md doesn't list."""
    listed = root / "docs/metrics.md"
    known = set(METRIC.findall(listed.read_text(encoding="utf-8"))) if listed.exists() else set()
    found = []
    for path, text in documents(root):
        for number, name in metrics(text):
            if name not in known and SUFFIX.sub("", name) not in known:
                found.append(f"{path}:{number}: {name} is not in docs/metrics.md")
    return found


def link_fault(root, path, text, target):
    """Why a link leads nowhere, or None."""
    url = urllib.parse.urlsplit(target)
    if url.scheme or url.netloc:
        return None
    name = urllib.parse.unquote(url.path)
    goal = root / path
    if name:
        goal = root / name.lstrip("/") if name.startswith("/") else root / path.parent / name
    if not goal.exists():
        return f"there is no {name}"
    if url.fragment and goal.suffix == ".md":
        there = text if goal == root / path else goal.read_text(encoding="utf-8")
        if urllib.parse.unquote(url.fragment) not in markdown.anchors(there):
            return f"{name or path} has no heading #{url.fragment}"
    return None


def link_faults(root):
    """Relative links that lead nowhere."""
    found = []
    for path, text in documents(root, everywhere=True):
        for number, target in markdown.links(text):
            fault = link_fault(root, path, text, target)
            if fault:
                found.append(f"{path}:{number}: link {target}: {fault}")
    return found


ROUTER = "#!/bin/sh\necho '  --listen HOST:PORT  --help'\n"
CLIENT = ("#!/bin/sh\ncase $1 in classify) echo '--policy NAME --k N';;\n"
          "--help) echo '--version';; *) exit 2;; esac\n")


class FlagsTest(unittest.TestCase):

    def faults(self, text):
        with tree.planted({"README.md": text, "bin/orchard-router": ROUTER,
                           "bin/orchard": CLIENT}) as root:
            for program in ("orchard-router", "orchard"):
                (root / "bin" / program).chmod(0o755)
            skipped = set()
            help_text.cache_clear()
            return flag_faults(root, root / "bin", skipped), skipped

    def check(self, text, *wanted):
        found, _ = self.faults(text)
        self.assertEqual(len(found), len(wanted), tree.report(found))
        for part, fault in zip(wanted, found):
            self.assertIn(part, fault)

    def test_accepts_what_the_help_says(self):
        self.check("`orchard-router --listen 127.0.0.1:0` or `orchard classify x.jpg --k 2`\n"
                   "```\n$ build/release/bin/orchard-router --listen=x | tee --append y\n"
                   "orchard classify \\\n  --policy hard  # not --this\ncmake --preset dev\n```\n"
                   "`./dev test --odd` and plain orchard-router --plain are not looked at\n")

    def test_finds_an_unknown_flag_in_spans_and_blocks(self):
        self.check("`orchard-router --listne x`\n\n```\norchard classify --top 3 \\\n  --taus 1\n```\n",
                   "README.md:4: --top is not in `orchard classify --help`",
                   "--taus", "README.md:1: --listne is not in `orchard-router --help`")

    def test_finds_a_flag_alone_beside_its_program(self):
        self.check("`orchard-router` takes `--listen` and `--drain`.\n", "--drain")

    def test_a_flag_is_a_whole_word(self):
        self.check("`orchard-router --list`\n", "--list")

    def test_a_release_of_our_name_is_no_program(self):
        self.check("```\nhelm install orchard chart --wait\nkubectl get x && orchard --odd\n```\n", "--odd")

    def test_skips_programs_that_are_not_built(self):
        found, skipped = self.faults("`orchard-train --data x`\n")
        self.assertEqual((found, skipped), ([], {"orchard-train"}))


class MetricsTest(unittest.TestCase):

    def test_finds_metrics_that_are_not_listed(self):
        with tree.planted({
                "docs/metrics.md": "`orchard_requests_total`, `orchard_stage_duration_seconds`\n",
                "docs/operations.md": "`rate(orchard_requests_total[1m])` "
                                      "`orchard_stage_duration_seconds_bucket{le=\"1\"}`\n"
                                      "`orchard_library(moe)`, `orchard_core`, orchard_prose\n"
                                      "```\norchard_lost_total 3\n```\n"}) as root:
            self.assertEqual(metric_faults(root), [
                "docs/operations.md:4: orchard_lost_total is not in docs/metrics.md"])


class LinksTest(unittest.TestCase):

    def test_finds_links_that_lead_nowhere(self):
        with tree.planted({
                "README.md": "# A `b`: c\n[x](docs/a.md) [y](docs/a.md#two-words) [z](#a-b-c)\n"
                             "[w](https://x.example/none) `[code](none.md)` [d](docs)\n"
                             "[1](docs/none.md) ![2](none.png) [3](docs/a.md#three) [4](#five)\n"
                             "```\n[block](none.md)\n```\n[ref]: docs/lost.md\n",
                "docs/a.md": "## Two words\n[up](../README.md) [root](/README.md)\n"}) as root:
            found = link_faults(root)
        self.assertEqual(len(found), 5, tree.report(found))
        for part in ("docs/none.md", "none.png", "#three", "#five", "docs/lost.md"):
            self.assertTrue(any(part in fault for fault in found), part)


class RepositoryTest(unittest.TestCase):

    def test_flags_are_those_of_the_programs(self):
        folder = pathlib.Path(os.environ.get("ORCHARD_BIN_DIR") or tree.ROOT / "build/release/bin")
        skipped = set()
        found = flag_faults(tree.ROOT, folder, skipped)
        self.assertFalse(found, tree.report(found))
        if skipped:
            self.skipTest(f"not built in {folder}: {', '.join(sorted(skipped))}")

    def test_metrics_are_those_of_the_list(self):
        found = metric_faults(tree.ROOT)
        self.assertFalse(found, tree.report(found))

    def test_links_lead_somewhere(self):
        found = link_faults(tree.ROOT)
        self.assertFalse(found, tree.report(found))


if __name__ == "__main__":
    unittest.main()
