"""values.yaml and the table of values, both made from the chart's values.schema.json.

The schema is the one place where a value's type, default and meaning are written: values.yaml repeats
them for who reads that file, docs/kubernetes.md for who reads the documents.
"""

import json
import textwrap

HEADER = """\
# Values of the Orchard chart. Made by ./dev chart from values.schema.json: change that file.
# Unknown values and values of a wrong type are refused, with a sentence.
"""
WIDTH = 100


def resolve(schema, node):
    """`node` with what its $ref names filled in; its own words win."""
    while "$ref" in node:
        target = schema
        for step in node["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        node = {**target, **{key: value for key, value in node.items() if key != "$ref"}}
    return node


def leaves(schema):
    """(path, node) of every value in the schema's order. An object that has a default is one value,
    whatever it may hold; one without is a group, and comes before what is in it."""
    def walk(node, path):
        for name, child in node.get("properties", {}).items():
            child = resolve(schema, child)
            if path or name != "global":  # Helm's own
                yield (*path, name), child
                if is_group(child):
                    yield from walk(child, (*path, name))
    yield from walk(schema, ())


def is_group(node):
    return "properties" in node and "default" not in node


def yaml_scalar(value):
    return json.dumps(value, ensure_ascii=False)


def yaml_value(value, indent):
    """` value` on one line where it fits, else a block below."""
    line = " " + yaml_scalar(value)
    if not isinstance(value, (dict, list)) or len(line) + indent < WIDTH - 30 or not value:
        return line
    pad = " " * (indent + 2)
    if isinstance(value, dict):
        return "".join(f"\n{pad}{key}:{yaml_value(inner, indent + 2)}" for key, inner in value.items())
    return "".join(f"\n{pad}- {yaml_scalar(inner)}" for inner in value)


def values_yaml(schema):
    lines = [HEADER]
    for path, node in leaves(schema):
        indent = 2 * (len(path) - 1)
        pad = " " * indent
        if len(path) == 1:
            lines.append("\n")
        for line in textwrap.wrap(node["description"], WIDTH - indent - 2, break_on_hyphens=False):
            lines.append(f"{pad}# {line}\n")
        value = "" if is_group(node) else yaml_value(node["default"], indent)
        lines.append(f"{pad}{path[-1]}:{value}\n")
    return "".join(lines)


def table(schema):
    """The values as Markdown."""
    rows = ["| value | default | meaning |", "|---|---|---|"]
    for path, node in leaves(schema):
        if is_group(node):
            continue
        default = yaml_scalar(node["default"])
        if path == ("experts",):
            default = "the nine of the default model"
        else:
            default = f"`{default}`"
        text = node["description"].replace("|", "\\|")
        rows.append(f"| `{'.'.join(path)}` | {default} | {text} |")
    return "\n".join(rows) + "\n"
