"""Just enough Markdown for docs_test.py: links, headings, code spans and code blocks."""

import re

FENCE = re.compile(r"^[ \t]*(```|~~~)")
SPAN = re.compile(r"(`+)(.+?)\1")
LINK = re.compile(r"!?\[(?:[^\]\[]|\[[^\]]*\])*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
HTML_LINK = re.compile(r"<(?:img|a)\b[^>]*\b(?:src|href)=\"([^\"]+)\"")
REFERENCE = re.compile(r"^[ ]{0,3}\[[^\]]+\]:\s+<?(\S+?)>?\s*$")
HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*\s*$")


def lines(text):
    """(line number, line, whether it is inside a code block); fences themselves are left out."""
    fence = None
    for number, line in enumerate(text.splitlines(), start=1):
        mark = FENCE.match(line)
        if mark and fence in (None, mark[1]):
            fence = None if fence else mark[1]
        else:
            yield number, line, fence is not None


def spans(line):
    """The code spans of a line outside blocks."""
    return [match[2].strip() for match in SPAN.finditer(line)]


def links(text):
    """(line number, target) of every link, image and reference outside code."""
    for number, line, code in lines(text):
        if code:
            continue
        prose = SPAN.sub("", line)
        for pattern in (LINK, HTML_LINK, REFERENCE):
            for match in pattern.finditer(prose):
                yield number, match[1]


def anchors(text):
    """What `#…` may name: the headings, as GitHub spells them, and explicit ids."""
    found = set()
    for _, line, code in lines(text):
        found.update(re.findall(r"\b(?:id|name)=\"([^\"]+)\"", line))
        heading = None if code else HEADING.match(line)
        if not heading:
            continue
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading[1])
        slug = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
        repeats = 0
        name = slug
        while name in found:
            repeats += 1
            name = f"{slug}-{repeats}"
        found.add(name)
    return found


def commands(text):
    """(line number, command): lines of code blocks, `\\` continued, prompts removed."""
    start, joined = None, ""
    for number, line, code in lines(text):
        if not code:
            start, joined = None, ""
            continue
        start = start or number
        joined += re.sub(r"^\s*\$ ", "", line)
        if joined.endswith("\\"):
            joined = joined[:-1] + " "
            continue
        yield start, joined
        start, joined = None, ""
