"""What helm makes of the chart: nothing generated is stale, lint is silent, and values that are wrong are
refused with a sentence that names them."""

import subprocess
import sys
import tempfile
import unittest

import helm_built
import renders  # noqa: F401  (puts tools/ on the path)

import chart_render

# (what is wrong, values, words that the refusal must have)
REFUSED = (
    ("an unknown value", "router: {replica: 3}", ["router", "replica"]),
    ("an unknown value of an expert", "experts: {rice: {replica: 3}}", ["experts.rice", "replica"]),
    ("a wrong type", "router: {replicas: two}", ["router.replicas", "integer"]),
    ("half a core in figures", "router: {cpu: 1.5}", ["router.cpu"]),
    ("a size in another unit", "router: {memory: 2GB}", ["router.memory", "Ki|Mi|Gi|Ti"]),
    ("a kind that there is not", "autoscaling: {kind: vpa}", ["autoscaling.kind", "keda"]),
    ("a flag that there is not", "router: {settings: {in-flights: 3}}", ["in-flights"]),
    ("a flag that is the chart's", "router: {settings: {listen: ':9'}}", ["listen"]),
    ("a domain's name", "experts: {Rice: {}}", ["experts.Rice", "small letters"]),
    ("two domains of one name", "experts: {rice-disease: {}}",
     ["experts.rice-disease", "experts.rice_disease", "\"rice-disease\""]),
    ("a long name", "experts: {a_domain_whose_name_goes_on_and_on_and_on_for_ever: {}}",
     ["a_domain_whose", "63", "fullnameOverride"]),
    ("no set", "expertSets: {a: null}", ["expertSets"]),
    ("zero by CPU", "{autoscaling: {kind: cpu}, experts: {rice: {minReplicas: 0}}}",
     ["experts.rice.minReplicas is 0", "\"cpu\"", "keda"]),
    ("zero by nothing", "expertDefaults: {minReplicas: 0}",
     ["expertDefaults.minReplicas is 0", "\"none\""]),
    ("least above most", "{autoscaling: {kind: keda}, experts: {rice: {minReplicas: 11}}}",
     ["experts.rice", "11", "10"]),
    ("least routers above most", "router: {autoscaling: {enabled: true, minReplicas: 30}}",
     ["router.autoscaling", "30", "20"]),
    ("TLS without a Secret", "tls: {enabled: true}", ["tls.routerSecret is empty", "tls.crt"]),
    ("TLS without the experts' Secret", "tls: {enabled: true, routerSecret: r}",
     ["tls.expertSecret is empty"]),
    ("KEDA without a certificate",
     "{autoscaling: {kind: keda}, tls: {enabled: true, routerSecret: r, expertSecret: e}}",
     ["tls.clientSecret is empty"]),
    ("KEDA with routers that don't know each other",
     "{autoscaling: {kind: keda}, tls: {enabled: true, routerSecret: r, expertSecret: e, "
     "callers: {verify: false}}}", ["tls.callers.verify is false", "keda"]),
    ("no issuer", "tls: {enabled: true, certManager: {enabled: true}}", ["tls.certManager.issuer is empty"]),
    ("certificates for nothing", "tls: {certManager: {enabled: true}}",
     ["tls.certManager.enabled", "tls.enabled"]),
    ("no claim", "model: {source: claim}", ["model.claim is empty"]),
    ("no claim for routers", "router: {model: {source: claim}}", ["router.model.claim is empty"]),
    ("a claim that is not read", "model: {claim: models}", ["model.claim is \"models\"", "\"image\""]),
    ("no program that copies", "model: {source: initContainer}", ["orchard-model", "imageVolume"]),
    ("a route without a gateway", "gateway: {enabled: true}", ["gateway.parentRefs is empty"]),
)


def render(text, *arguments):
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(text)
        file.flush()
        return chart_render.template(*arguments, values=file.name)


class ChartTest(unittest.TestCase):

    def test_nothing_is_stale(self):
        run = subprocess.run([chart_render.ROOT / "tools/chart", "--check"], capture_output=True,
                             text=True, check=False)
        self.assertEqual(run.returncode, 0, f"\n{run.stderr}if it is meant to be so: ./dev chart")

    def test_lint_finds_nothing(self):
        for name in chart_render.golden_names():
            values = chart_render.VALUES / f"{name}.yaml"
            arguments = ["--values", values] if values.exists() else []
            with self.subTest(name):
                try:
                    chart_render.helm("lint", "--strict", "--quiet", chart_render.CHART, *arguments)
                except chart_render.RenderError as error:
                    self.fail(f"\n{error}")

    def test_wrong_values_are_refused_with_a_sentence(self):
        for what, text, words in REFUSED:
            with self.subTest(what):
                with self.assertRaises(chart_render.RenderError) as raised:
                    render(text)
                for word in words:
                    self.assertIn(word, str(raised.exception))

    def test_old_clusters_are_refused(self):
        with self.assertRaisesRegex(chart_render.RenderError, "1.30"):
            chart_render.template("--kube-version", "1.29.0")
        with self.assertRaisesRegex(chart_render.RenderError, "imageVolume.*1.33.*v1.32.0"):
            render("model: {source: imageVolume}", "--kube-version", "1.32.0")

    def test_a_domain_can_be_taken_out(self):
        self.assertNotIn("pistachio", render("experts: {pistachio: null}"))

    def test_the_old_set_can_be_taken_out(self):
        text = render("expertSets: {b: {tag: 0.2.0}}", "--set", "expertSets.a=null")
        self.assertIn("image: orchard-expert:0.2.0", text)
        self.assertIn("name: orchard-expert-rice-b\n", text)
        self.assertNotIn("orchard-expert-rice-a", text)
        self.assertNotIn("orchard-expert:0.1.0", text)

    def test_without_experts_all_run_in_the_routers(self):
        none = {domain: None for domain in ("fruit", "vegetable", "flower", "pistachio", "rice", "almond",
                                            "rice_disease", "tomato_disease", "orange_disease")}
        made = [o for o in renders.yaml.safe_load_all(render(renders.yaml.safe_dump({"experts": none}))) if o]
        self.assertEqual([o["metadata"]["name"] for o in made if o["kind"] == "Deployment"],
                         ["orchard-router"])
        (text,) = [o["data"]["router.toml"] for o in made if "router.toml" in o.get("data", {})]
        self.assertNotIn("expert", text)

    def test_a_release_of_another_name_says_so_in_its_objects(self):
        text = chart_render.helm("template", "farm", chart_render.CHART, "--kube-version",
                                 chart_render.KUBERNETES)
        self.assertIn("dns:///farm-orchard-expert-rice-disease:8011", text)
        self.assertNotIn("name: orchard-router\n", text)


if __name__ == "__main__":
    built = helm_built.exit_code()
    if built:
        sys.exit(built)
    unittest.main()
