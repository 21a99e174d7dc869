"""The chart's schema: everything is typed, described and has a default, and flags in it are flags."""

import json
import re
import unittest

import renders

import chart_render
import chart_values

SCHEMA = json.loads((chart_render.CHART / "values.schema.json").read_text(encoding="utf-8"))

SMALL = {
    "type": "object",
    "properties": {
        "global": {"type": "object", "description": "Helm's."},
        "replicas": {"type": "integer", "default": 2, "description": "How many."},
        "drain": {"$ref": "#/definitions/drain", "description": "How it ends."},
        "peers": {"type": "array", "description": "Who.",
                  "default": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "m"}}}]},
    },
    "definitions": {"drain": {"type": "object", "description": "Not this.", "properties": {
        "seconds": {"type": "integer", "default": 5, "description": "a | b"}}}},
}


class GeneratorTest(unittest.TestCase):

    def test_values_repeat_the_schema(self):
        text = chart_values.values_yaml(SMALL).removeprefix(chart_values.HEADER)
        self.assertEqual(text, "\n# How many.\nreplicas: 2\n\n# How it ends.\ndrain:\n"
                               "  # a | b\n  seconds: 5\n\n# Who.\npeers:\n"
                               '  - {"namespaceSelector": {"matchLabels": '
                               '{"kubernetes.io/metadata.name": "m"}}}\n')

    def test_the_table_has_a_row_a_value(self):
        rows = chart_values.table(SMALL).splitlines()[2:]
        self.assertEqual(rows[:2], ["| `replicas` | `2` | How many. |",
                                    "| `drain.seconds` | `5` | a \\| b |"])

    def test_long_texts_are_cut_from_goldens(self):
        long = "\n".join(f"    line {i}" for i in range(chart_render.LONGEST_TEXT + 1))
        self.assertEqual(chart_render.shortened(f"data:\n  x.json: |\n{long}\n  y: |\n    short\n"),
                         "data:\n  x.json: |\n    (left out of this golden: a long text)\n"
                         "  y: |\n    short\n")


class SchemaTest(unittest.TestCase):

    def nodes(self, node, path="values"):
        """(path, node) of every schema that a value meets."""
        for name, child in node.get("properties", {}).items():
            child = chart_values.resolve(SCHEMA, child)
            yield f"{path}.{name}", child
            yield from self.nodes(child, f"{path}.{name}")
        more = node.get("additionalProperties")
        if isinstance(more, dict):
            more = chart_values.resolve(SCHEMA, more)
            yield f"{path}.*", more
            yield from self.nodes(more, f"{path}.*")

    def test_every_value_is_typed_and_described(self):
        faults = []
        for path, node in self.nodes(SCHEMA):
            if not any(key in node for key in ("type", "enum", "anyOf")):
                faults.append(f"{path}: of any type")
            if not node.get("description") and not path.endswith(".*"):
                faults.append(f"{path}: not described")
        self.assertFalse(faults, renders.report(faults))

    def test_unknown_values_are_refused_everywhere(self):
        faults = [path for path, node in self.nodes(SCHEMA)
                  if "properties" in node and node.get("additionalProperties") is not False]
        self.assertFalse(faults, renders.report(faults))
        self.assertIs(SCHEMA["additionalProperties"], False)

    def test_every_value_has_a_default(self):
        faults = [".".join(path) for path, node in chart_values.leaves(SCHEMA)
                  if not chart_values.is_group(node) and "default" not in node]
        self.assertFalse(faults, renders.report(faults))

    def test_settings_are_flags_of_the_programs(self):
        for program in ("router", "expert"):
            known = renders.flags(f"orchard-{program}")
            if known is None:
                self.skipTest(f"not built in {renders.BIN}: orchard-{program}")
            settings = set(SCHEMA["definitions"][f"{program}Settings"]["properties"])
            self.assertFalse(settings - known)
            # What the chart sets itself, what makes no sense in a pod, and what ends at once.
            own = {"listen", "http-listen", "metrics-listen", "http-tls", "metrics-tls", "model", "config",
                   "domain", "expert", "router-peers", "drain-delay", "drain-timeout", "version", "help"}
            left = {flag for flag in known - settings - own
                    if not re.match(r"(expert-)?tls-|probe", flag)}
            self.assertFalse(left, f"flags of orchard-{program} that the schema's settings lack")

    def test_the_chart_is_of_the_project_s_version(self):
        project = (renders.ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
        version = re.search(r"project\([^)]*VERSION ([\d.]+)", project)[1]
        chart = renders.yaml.safe_load((chart_render.CHART / "Chart.yaml").read_text(encoding="utf-8"))
        self.assertEqual(chart["appVersion"], version)


if __name__ == "__main__":
    unittest.main()
