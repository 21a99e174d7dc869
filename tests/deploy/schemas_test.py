"""What tools/chart_schemas.py finds in objects, on small schemas of our own: no network."""

import unittest

import renders  # noqa: F401  (puts tools/ on the path)

import chart_schemas

DEFINITIONS = {
    chart_schemas.METADATA: {"type": "object", "properties": {
        "name": {"type": "string"},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}}}},
    chart_schemas.QUANTITY: {"type": "string"},
    "Port": {"type": "object", "required": ["port"], "properties": {
        "port": {"type": "integer"}, "target": {"type": "string", "format": "int-or-string"}}},
    "Service": {"type": "object", "required": ["metadata", "spec"],
                "x-kubernetes-group-version-kind": [{"group": "", "version": "v1", "kind": "Service"}],
                "properties": {"apiVersion": {"type": "string"}, "spec": {"type": "object", "properties": {
                    "type": {"type": "string", "enum": ["ClusterIP", "NodePort"]},
                    "open": {"type": "boolean"},
                    "memory": {"$ref": f"#/definitions/{chart_schemas.QUANTITY}"},
                    "ports": {"type": "array", "items": {"$ref": "#/definitions/Port"}}}}}},
}
CUSTOM = [{"spec": {"group": "keda.sh", "names": {"kind": "ScaledObject"}, "versions": [
    {"name": "v1alpha1", "schema": {"openAPIV3Schema": {"type": "object", "properties": {
        "spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": True,
                 "properties": {"min": {"type": "integer"}}}}}}}]}}]


class SchemasTest(unittest.TestCase):

    def faults(self, spec, api="v1", kind="Service", **metadata):
        schemas = chart_schemas.Schemas(DEFINITIONS, CUSTOM)
        return list(schemas.faults({"apiVersion": api, "kind": kind, "spec": spec,
                                    "metadata": {"name": "x", **metadata}}))

    def test_sound_objects_pass(self):
        self.assertEqual(self.faults({"type": "NodePort", "open": True, "memory": 1,
                                      "ports": [{"port": 80, "target": "grpc"}, {"port": 1, "target": 2}]},
                                     labels={"a": "b"}), [])
        self.assertEqual(self.faults({"min": 1, "other": {}}, "keda.sh/v1alpha1", "ScaledObject"), [])

    def test_faults_are_named_by_their_place(self):
        for spec, words in (({"typ": "NodePort"}, "spec.typ: there is no such field"),
                            ({"type": "Node"}, "'Node' is none of ClusterIP, NodePort"),
                            ({"open": "true"}, "'true' is no boolean"),
                            ({"ports": [{}]}, "spec.ports[0].port: is missing"),
                            ({"ports": [{"port": True}]}, "spec.ports[0].port: True is no integer"),
                            ({"ports": {"port": 1}}, "is no array")):
            with self.subTest(words):
                (fault,) = self.faults(spec)
                self.assertIn(words, fault)

    def test_metadata_and_kinds_are_looked_at(self):
        self.assertEqual(self.faults({}, labels={"a": 1}), ["Service x.metadata.labels.a: 1 is no string"])
        self.assertEqual(self.faults({}, "v2"), ["Service x: there is no kind Service of v2"])
        self.assertEqual(self.faults({"min": "1"}, "keda.sh/v1alpha1", "ScaledObject"),
                         ["ScaledObject x.spec.min: '1' is no integer"])


if __name__ == "__main__":
    unittest.main()
