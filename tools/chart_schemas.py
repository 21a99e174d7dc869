"""The golden renders against the API's own schemas: ./dev chart schemas, on demand.

Kubernetes' OpenAPI and the definitions of custom resources come with the Go modules of their projects, so
Go's client fetches them (some 100 MB, once) and nothing is compiled. Looked at: that there is such a kind,
that no field is unknown, that none that is required is missing, types and enumerations. What only a
server knows (admission, references, formats) is not.
"""

import json
import os
import pathlib
import subprocess

from debian_yaml import yaml

KUBERNETES = ("k8s.io/kubernetes", "v1.36.3")
# (module, version, pattern of the files) of each project whose kinds the chart uses.
CUSTOM = (
    ("github.com/kedacore/keda/v2", "v2.21.0", "config/crd/bases/keda.sh_*.yaml"),
    ("sigs.k8s.io/gateway-api", "v1.6.3", "config/crd/standard/*_grpcroutes.yaml"),
    ("github.com/cert-manager/cert-manager", "v1.21.2", "deploy/crds/cert-manager.io_certificates.yaml"),
    ("github.com/prometheus-operator/prometheus-operator", "v0.85.0",
     "example/prometheus-operator-crd/*_*monitors.yaml"),
    ("github.com/prometheus-operator/prometheus-operator", "v0.85.0",
     "example/prometheus-operator-crd/*_prometheusrules.yaml"),
)
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
METADATA = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
ENVELOPE = ("apiVersion", "kind", "metadata")
TYPES = {"string": str, "integer": int, "boolean": bool, "number": (int, float), "array": list,
         "object": dict}


def module_folder(module, version):
    """The files of a Go module, in Go's own cache."""
    run = subprocess.run(["go", "mod", "download", "-json", f"{module}@{version}"], cwd="/", text=True,
                         stdout=subprocess.PIPE, check=False,
                         env={**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod"})
    said = json.loads(run.stdout)
    if "Error" in said:
        raise RuntimeError(said["Error"])
    return pathlib.Path(said["Dir"])


class Schemas:
    """Every kind that is known, and what is wrong with an object of one."""

    def __init__(self, definitions, custom):
        """`definitions`: those of Kubernetes' OpenAPI; `custom`: CustomResourceDefinitions."""
        self.definitions = definitions
        self.kinds = {}
        for schema in definitions.values():
            for kind in schema.get("x-kubernetes-group-version-kind", []):
                group = f"{kind['group']}/" if kind["group"] else ""
                self.kinds[f"{group}{kind['version']}", kind["kind"]] = schema
        for definition in custom:
            spec = definition["spec"]
            for version in spec["versions"]:
                self.kinds[f"{spec['group']}/{version['name']}", spec["names"]["kind"]] = \
                    version["schema"]["openAPIV3Schema"]

    def faults(self, o):
        schema = self.kinds.get((o["apiVersion"], o["kind"]))
        name = f"{o['kind']} {o['metadata']['name']}"
        if schema is None:
            yield f"{name}: there is no kind {o['kind']} of {o['apiVersion']}"
            return
        body = {key: value for key, value in o.items() if key not in ENVELOPE}
        required = [key for key in schema.get("required", []) if key not in ENVELOPE]
        yield from self.walk(body, {**schema, "required": required}, name)
        yield from self.walk(o["metadata"], self.definitions[METADATA], f"{name}.metadata")

    def walk(self, value, schema, path):
        if schema.get("$ref", "").endswith(QUANTITY):
            return  # numbers and texts
        if "$ref" in schema:
            schema = self.definitions[schema["$ref"].rsplit("/", 1)[1]]
        if schema.get("x-kubernetes-int-or-string") or schema.get("format") == "int-or-string":
            return
        kind = schema.get("type", "object" if "properties" in schema else None)
        if kind and (not isinstance(value, TYPES[kind]) or
                     isinstance(value, bool) and kind != "boolean"):
            yield f"{path}: {value!r} is no {kind}"
        elif "enum" in schema and value not in schema["enum"]:
            yield f"{path}: {value!r} is none of {', '.join(map(str, schema['enum']))}"
        elif kind == "array":
            for number, item in enumerate(value):
                yield from self.walk(item, schema["items"], f"{path}[{number}]")
        elif kind == "object":
            yield from self.walk_object(value, schema, path)

    def walk_object(self, value, schema, path):
        known = schema.get("properties")
        other = schema.get("additionalProperties")
        for key, inner in value.items():
            if known and key in known:
                yield from self.walk(inner, known[key], f"{path}.{key}")
            elif isinstance(other, dict):
                yield from self.walk(inner, other, f"{path}.{key}")
            elif known and not schema.get("x-kubernetes-preserve-unknown-fields"):
                yield f"{path}.{key}: there is no such field"
        yield from (f"{path}.{key}: is missing" for key in schema.get("required", []) if key not in value)


def fetched():
    """The schemas of the pinned versions."""
    openapi = module_folder(*KUBERNETES) / "api/openapi-spec/swagger.json"
    custom = [document for module, version, pattern in CUSTOM
              for file in sorted(module_folder(module, version).glob(pattern))
              for document in yaml.load_all(file.read_text(encoding="utf-8"), Loader=LOADER) if document]
    return Schemas(json.loads(openapi.read_text(encoding="utf-8"))["definitions"], custom)


def check(files):
    """Every fault of the objects in YAML files."""
    schemas = fetched()
    found, count = [], 0
    for file in files:
        for o in yaml.load_all(file.read_text(encoding="utf-8"), Loader=LOADER):
            if o:
                count += 1
                found += [f"{file.name}: {fault}" for fault in schemas.faults(o)]
    return found, count
