"""What every golden render must satisfy, whatever its values: the checks that a server would make, and
those that none makes (that a flag exists, that a name leads to a Service)."""

import json
import pathlib
import re
import tomllib
import unittest

import renders
from renders import by_name, containers, label, names, objects, of_kind, pods, selects

# What the values of these goldens say is there already: the user's Secrets and claims.
THEIRS = {"mtls": {"farm-router-tls", "farm-expert-tls", "farm-client-tls"},
          "rolling": {"models"}, "everything": {"registry"}}
PORTS = {"router": {"grpc": 8001, "http": 8000, "metrics": 8002},
         "expert": {"grpc": 8011, "metrics": 8012}}


def flags_of(container):
    """{flag: [values]} of a container's arguments, without dashes."""
    found = {}
    for argument in container.get("args", []):
        flag, _, value = argument.removeprefix("--").partition("=")
        found.setdefault(flag, []).append(value)
    return found


class GoldenCase(unittest.TestCase):
    """Runs a check on every golden; each yields its faults, and all are reported at once."""

    def check(self, faults):
        self.assertTrue(names(), "there are no goldens")
        found = [f"{name}: {fault}" for name in names() for fault in faults(name)]
        self.assertFalse(found, renders.report(found))


class ObjectTest(GoldenCase):

    def test_objects_are_named_once(self):
        def faults(name):
            seen = set()
            for o in objects(name):
                if not (o.get("apiVersion") and o.get("kind") and o.get("metadata", {}).get("name")):
                    yield f"{o} lacks apiVersion, kind or metadata.name"
                    continue
                key = (o["apiVersion"], o["kind"], o["metadata"]["name"])
                if key in seen:
                    yield f"{label(o)} is there twice"
                seen.add(key)
                if not re.fullmatch(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", o["metadata"]["name"]):
                    yield f"{label(o)}: the name is no DNS label"
        self.check(faults)

    def test_labels_are_the_agreed_ones(self):
        def faults(name):
            for o in objects(name):
                labels = o["metadata"]["labels"]
                if labels.get("app.kubernetes.io/name") != "orchard":
                    yield f"{label(o)}: app.kubernetes.io/name is not orchard"
                if not labels.get("app.kubernetes.io/component"):
                    yield f"{label(o)}: no app.kubernetes.io/component"
                for key, value in labels.items():
                    if not isinstance(value, str) or not re.fullmatch(
                            r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?", value):
                        yield f"{label(o)}: label {key}: {value!r} is none"
        self.check(faults)

    def test_annotations_are_texts(self):
        def faults(name):
            for o in objects(name):
                for key, value in o["metadata"].get("annotations", {}).items():
                    if not isinstance(value, str):
                        yield f"{label(o)}: annotation {key}: {value!r} is no text"
        self.check(faults)

    def test_selectors_find_their_pods_and_hold_no_version(self):
        def faults(name):
            all_labels = [labels for _, labels, _ in pods(name)]
            for o in objects(name):
                selector = None
                if o["kind"] in ("Deployment", "PodDisruptionBudget"):
                    selector = o["spec"]["selector"]["matchLabels"]
                elif o["kind"] == "Service":
                    selector = o["spec"]["selector"]
                elif o["kind"] == "NetworkPolicy":
                    selector = o["spec"]["podSelector"]["matchLabels"]
                elif o["kind"] == "PodMonitor":
                    selector = o["spec"]["selector"]["matchLabels"]
                if selector is None:
                    continue
                if any("version" in key or "chart" in key for key in selector):
                    yield f"{label(o)}: its selector changes with a version: {selector}"
                if not any(selects(selector, labels) for labels in all_labels):
                    yield f"{label(o)}: its selector finds no pod: {selector}"
            deployments = of_kind(name, "Deployment")
            for o in deployments:
                selector = o["spec"]["selector"]["matchLabels"]
                found = [d for d in deployments
                         if selects(selector, d["spec"]["template"]["metadata"]["labels"])]
                if found != [o]:
                    yield f"{label(o)}: its selector finds pods of {[label(d) for d in found]}"
        self.check(faults)

    def test_what_an_object_names_is_there(self):
        def faults(name):
            there = set(THEIRS.get(name, ()))
            there |= {o["spec"]["secretName"] for o in of_kind(name, "Certificate")}
            maps, accounts = by_name(name, "ConfigMap"), by_name(name, "ServiceAccount")
            for o, _, spec in pods(name):
                account = spec.get("serviceAccountName")
                if account and account not in accounts:
                    yield f"{label(o)}: no ServiceAccount {account}"
                if spec.get("priorityClassName") and \
                        spec["priorityClassName"] not in by_name(name, "PriorityClass"):
                    yield f"{label(o)}: no PriorityClass {spec['priorityClassName']}"
                wanted = [s["name"] for s in spec.get("imagePullSecrets", [])]
                for volume in spec.get("volumes", []):
                    if "configMap" in volume:
                        there_is = maps.get(volume["configMap"]["name"], {})
                        keys = {**there_is.get("data", {}), **there_is.get("binaryData", {})}
                        if not keys:
                            yield f"{label(o)}: no ConfigMap {volume['configMap']['name']}"
                        for item in volume["configMap"].get("items", []):
                            if item["key"] not in keys:
                                yield f"{label(o)}: no {item['key']} in its ConfigMap"
                    wanted += [volume[kind][key] for kind, key in
                               (("secret", "secretName"), ("persistentVolumeClaim", "claimName"))
                               if kind in volume]
                yield from (f"{label(o)}: nobody makes {w}, and the values don't say it is theirs"
                            for w in wanted if w not in there)
                volumes = {v["name"] for v in spec.get("volumes", [])}
                for container in containers(spec):
                    for mount in container.get("volumeMounts", []):
                        if mount["name"] not in volumes:
                            yield f"{label(o)}: {container['name']} mounts {mount['name']}, no volume"
            for o in of_kind(name, "TriggerAuthentication"):
                yield from (f"{label(o)}: no Secret {ref['name']}" for ref in
                            o["spec"]["secretTargetRef"] if ref["name"] not in there)
        self.check(faults)


class PodTest(GoldenCase):

    def test_pods_satisfy_the_restricted_standard(self):
        def faults(name):
            for o, _, spec in pods(name):
                pod = spec.get("securityContext", {})
                if not (pod.get("runAsNonRoot") and pod.get("runAsUser") == 65532):
                    yield f"{label(o)}: runs as root, or not as 65532"
                if pod.get("seccompProfile") != {"type": "RuntimeDefault"}:
                    yield f"{label(o)}: no seccompProfile RuntimeDefault"
                if spec.get("automountServiceAccountToken") is not False:
                    yield f"{label(o)}: has a token of the API server"
                if spec.get("enableServiceLinks") is not False:
                    yield f"{label(o)}: variables of Services may be taken for settings"
                for container in containers(spec):
                    own = container.get("securityContext", {})
                    if not (own.get("allowPrivilegeEscalation") is False and
                            own.get("readOnlyRootFilesystem") is True and
                            own.get("capabilities") == {"drop": ["ALL"]}):
                        yield f"{label(o)}: {container['name']} may do more than it must: {own}"
                    if container.get("terminationMessagePolicy") != "FallbackToLogsOnError":
                        yield f"{label(o)}: {container['name']}: why it ended would not be seen"
        self.check(faults)

    def test_requests_are_limits(self):
        def faults(name):
            for o, _, spec in pods(name):
                for container in containers(spec):
                    resources = container["resources"]
                    if resources["requests"] != resources["limits"]:
                        yield f"{label(o)}: {container['name']} requests other than its limits"
                    for key in ("cpu", "memory", "ephemeral-storage"):
                        if key not in resources["requests"]:
                            yield f"{label(o)}: {container['name']} says no {key}"
        self.check(faults)

    def test_the_grace_period_holds_the_drain(self):
        def faults(name):
            for o, labels, spec in pods(name):
                if o["kind"] != "Deployment":
                    continue
                component = labels["app.kubernetes.io/component"]
                toml = self.settings_of(name, spec, component)
                drain = sum(int(toml[key].removesuffix("s")) for key in ("drain-delay", "drain-timeout"))
                hook = spec["containers"][0].get("lifecycle", {}).get("preStop", {})
                wanted = drain + hook.get("sleep", {}).get("seconds", 0) + 5
                if spec["terminationGracePeriodSeconds"] != wanted:
                    yield f"{label(o)}: {spec['terminationGracePeriodSeconds']} s of grace, not {wanted}"
                rolling = o["spec"]["strategy"]["rollingUpdate"]
                if rolling != {"maxUnavailable": 0, "maxSurge": 1}:
                    yield f"{label(o)}: rolls with {rolling}"
        self.check(faults)

    @staticmethod
    def settings_of(name, spec, component):
        """The settings that a pod reads."""
        (volume,) = [v["configMap"] for v in spec["volumes"] if v["name"] == "settings"]
        (item,) = volume["items"]
        assert item["path"] == f"{component}.toml"
        return tomllib.loads(by_name(name, "ConfigMap")[volume["name"]]["data"][item["key"]])

    def test_ports_are_those_of_the_programs(self):
        def faults(name):
            for o, labels, spec in pods(name):
                component = labels["app.kubernetes.io/component"]
                if component not in PORTS:
                    continue
                (container,) = spec["containers"]
                ports = {p["name"]: p["containerPort"] for p in container["ports"]}
                if ports != PORTS[component]:
                    yield f"{label(o)}: ports {ports}"
                flags = flags_of(container)
                listens = {"grpc": "listen", "http": "http-listen", "metrics": "metrics-listen"}
                for port, number in PORTS[component].items():
                    (value,) = flags[listens[port]]
                    if value.rpartition(":")[2] != str(number):
                        yield f"{label(o)}: --{listens[port]}={value}"
                yield from self.probe_faults(o, container, PORTS[component])
        self.check(faults)

    @staticmethod
    def probe_faults(o, container, ports):
        http = ports.get("http", ports["metrics"])
        tls = any(m["name"] == "tls" for m in container["volumeMounts"])
        started, ready = container["startupProbe"], container["readinessProbe"]
        if tls:
            address = started["exec"]["command"][1]
            if address != f"--probe=127.0.0.1:{ports['grpc']}":
                yield f"{label(o)}: its own probe asks {address}"
            if ready.get("httpGet") != {"path": "/readyz", "port": http}:
                yield f"{label(o)}: readinessProbe {ready}"
        else:
            yield from (f"{label(o)}: a probe asks {probe.get('grpc')}" for probe in (started, ready)
                        if probe.get("grpc") != {"port": ports["grpc"]})
            if started["periodSeconds"] != 1:
                yield f"{label(o)}: who waits for a domain at zero waits {started['periodSeconds']} s for a probe"
        if started["periodSeconds"] * started["failureThreshold"] != 120:
            yield f"{label(o)}: startupProbe doesn't last startupSeconds: {started}"
        alive = container["livenessProbe"].get("httpGet")
        if alive != {"path": "/healthz", "port": http}:
            yield f"{label(o)}: livenessProbe {alive}"

    def test_flags_and_settings_are_those_of_the_programs(self):
        missing = [p for p in ("orchard-router", "orchard-expert") if renders.flags(p) is None]
        if missing:
            self.skipTest(f"not built in {renders.BIN}: {', '.join(missing)}")

        def faults(name):
            for o, labels, spec in pods(name):
                component = labels["app.kubernetes.io/component"]
                if component not in PORTS:
                    continue
                known = renders.flags(f"orchard-{component}")
                (container,) = spec["containers"]
                used = set(flags_of(container)) | set(self.settings_of(name, spec, component))
                command = container["startupProbe"].get("exec", {}).get("command", [])
                used |= set(flags_of({"args": command[1:]}))
                if command and command[0] != f"/opt/orchard/bin/orchard-{component}":
                    yield f"{label(o)}: its probe runs {command[0]}"
                yield from (f"{label(o)}: there is no --{flag}" for flag in sorted(used - known))
        self.check(faults)


class NetworkTest(GoldenCase):

    def test_ports_of_services_are_those_of_their_pods(self):
        def faults(name):
            for o in of_kind(name, "Service"):
                component = o["metadata"]["labels"]["app.kubernetes.io/component"]
                for port in o["spec"]["ports"]:
                    if PORTS[component].get(port["targetPort"]) != port["port"]:
                        yield f"{label(o)}: port {port}"
            for o in of_kind(name, "GRPCRoute"):
                for reference in o["spec"]["rules"][0]["backendRefs"]:
                    if reference["name"] not in by_name(name, "Service") or reference["port"] != 8001:
                        yield f"{label(o)}: leads to {reference}"
        self.check(faults)

    def test_names_of_the_settings_are_headless_services(self):
        def faults(name):
            services = by_name(name, "Service")
            for _, file, text in renders.settings(name):
                for host, port in re.findall(r'dns:///([^:"]+):(\d+)', text):
                    service = services.get(host)
                    if not service:
                        yield f"{file}: there is no Service {host}"
                    elif service["spec"].get("clusterIP") != "None" or \
                            service["spec"].get("publishNotReadyAddresses") is not False:
                        yield f"{file}: {host} is not headless, or lists pods that are not ready"
                    elif int(port) not in [p["port"] for p in service["spec"]["ports"]]:
                        yield f"{file}: {host} has no port {port}"
        self.check(faults)

    def test_each_domain_of_the_router_has_its_experts(self):
        def faults(name):
            (router,) = [tomllib.loads(t) for _, f, t in renders.settings(name) if f == "router.toml"]
            for target in router.get("expert", []):
                domain, host = re.fullmatch(r"([a-z_]+)=dns:///([^:]+):8011", target).groups()
                service = by_name(name, "Service")[host]
                if service["spec"]["selector"].get("orchard.dev/domain") != domain:
                    yield f"{domain}: {host} selects {service['spec']['selector']}"
                serving = [flags_of(spec["containers"][0]).get("domain") for _, labels, spec in pods(name)
                           if selects(service["spec"]["selector"], labels)]
                if not serving or any(served != [domain] for served in serving):
                    yield f"{domain}: behind {host} are experts of {serving}"
        self.check(faults)

    def test_experts_take_routers_and_scrapers_alone(self):
        def faults(name):
            policies = of_kind(name, "NetworkPolicy")
            router = {"app.kubernetes.io/component": "router"}
            for o, labels, _ in pods(name):
                if labels["app.kubernetes.io/component"] != "expert":
                    continue
                mine = [p for p in policies if selects(p["spec"]["podSelector"]["matchLabels"], labels)]
                rules = {rule["ports"][0]["port"]: rule.get("from") for p in mine
                         for rule in p["spec"].get("ingress", [])}
                if len(mine) != 1 or set(rules) != {"grpc", "metrics"} or not rules["metrics"]:
                    yield f"{label(o)}: may be reached by {rules}"
                elif not all(selects(router, peer["podSelector"]["matchLabels"])
                             for peer in rules["grpc"]):
                    yield f"{label(o)}: its gRPC port takes {rules['grpc']}"
        self.check(faults)


class ScalingTest(GoldenCase):

    def test_what_is_scaled_is_there_and_says_no_replicas(self):
        def faults(name):
            deployments = by_name(name, "Deployment")
            scaled = set()
            for o in of_kind(name, "HorizontalPodAutoscaler", "ScaledObject"):
                target = o["spec"]["scaleTargetRef"]["name"]
                if target in scaled:
                    yield f"{label(o)}: a second autoscaler of {target}"
                scaled.add(target)
                if target not in deployments:
                    yield f"{label(o)}: there is no Deployment {target}"
            for target, o in deployments.items():
                if ("replicas" in o["spec"]) == (target in scaled):
                    yield f"{label(o)}: replicas, and an autoscaler: one of both, not none and not two"
        self.check(faults)

    def test_keda_asks_a_router_about_the_domain_that_it_scales(self):
        def faults(name):
            for o in of_kind(name, "ScaledObject"):
                (trigger,) = o["spec"]["triggers"]
                host, port = trigger["metadata"]["scalerAddress"].split(":")
                service, namespace, svc = host.split(".")
                if service not in by_name(name, "Service") or (namespace, svc, port) != (
                        "orchard", "svc", "8001"):
                    yield f"{label(o)}: asks {trigger['metadata']['scalerAddress']}"
                served = by_name(name, "Deployment")[o["spec"]["scaleTargetRef"]["name"]]
                if trigger["metadata"]["domain"] != served["metadata"]["labels"]["orchard.dev/domain"]:
                    yield f"{label(o)}: asks about {trigger['metadata']['domain']}"
                if not all(isinstance(value, str) for value in trigger["metadata"].values()):
                    yield f"{label(o)}: metadata that is no text"
        self.check(faults)


class ModelTest(unittest.TestCase):

    def test_the_default_domains_are_those_of_the_default_model(self):
        manifests = sorted((renders.ROOT / "models/default").glob("*/manifest.json"))
        manifest = json.loads(pathlib.Path(manifests[-1]).read_text(encoding="utf-8"))
        schema = json.loads((renders.ROOT / "deploy/helm/orchard/values.schema.json").read_text())
        self.assertEqual(list(schema["properties"]["experts"]["default"]),
                         [expert["domain"] for expert in manifest["experts"]])
        self.assertEqual(schema["properties"]["model"]["properties"]["name"]["default"],
                         manifest["name"])

    def test_the_kustomize_base_holds_the_default_objects(self):
        base = renders.ROOT / "deploy/kustomize/orchard.yaml"
        found = [label(o) for o in renders.yaml.safe_load_all(base.read_text(encoding="utf-8")) if o]
        wanted = [label(o) for o in objects("default")
                  if "helm.sh/hook" not in o["metadata"].get("annotations", {})]
        self.assertEqual(found, wanted)
        self.assertNotIn("helm", base.read_text(encoding="utf-8").lower())


if __name__ == "__main__":
    unittest.main()
