"""Who plays a part in ./dev k8s-test plays it as the real one does: KEDA's arithmetic, a kubelet's paths
and names. The control plane itself is started by that verb alone."""

import unittest

import k8s_keda
import k8s_kubelet
from k8s_cluster import ClusterError


def target(least=0, most=5, cooldown_s=60, window_s=30):
    return k8s_keda.Target({"spec": {
        "scaleTargetRef": {"name": "orchard-expert-fruit-a"}, "minReplicaCount": least,
        "maxReplicaCount": most, "cooldownPeriod": cooldown_s,
        "advanced": {"horizontalPodAutoscalerConfig": {"behavior": {"scaleDown": {
            "stabilizationWindowSeconds": window_s}}}},
        "triggers": [{"metadata": {"scalerAddress": "router:8001", "domain": "fruit"}}]}})


class KedaTest(unittest.TestCase):

    def test_the_first_replica_is_for_being_active_and_not_for_the_metric(self):
        one = target()
        one.hear(0, value=3.0)
        self.assertEqual(one.replicas(0, 0), 0)
        one.hear(1, active=True)
        self.assertEqual(one.replicas(0, 1), 1)

    def test_the_metric_is_rounded_up_and_bounded(self):
        for least, value, wanted in ((1, 1.2, 2), (1, 2.9, 3), (1, 99, 5), (1, 0, 1), (3, 1, 3)):
            with self.subTest(value=value, least=least):
                one = target(least=least)
                one.hear(0, active=True, value=value)
                self.assertEqual(one.replicas(1, 0), wanted)

    def test_a_tenth_is_no_reason(self):
        one = target(least=1)
        one.hear(0, active=True, value=2.19)
        self.assertEqual(one.replicas(2, 0), 2)
        one.hear(0, value=2.21)
        self.assertEqual(one.replicas(2, 0), 3)

    def test_down_after_the_window_to_the_most_that_was_wanted_in_it(self):
        one = target(least=1)
        one.hear(0, active=True, value=4.0)
        self.assertEqual(one.replicas(4, 0), 4)
        one.hear(10, value=1.5)
        self.assertEqual(one.replicas(4, 10), 4)
        self.assertEqual(one.replicas(4, 30), 4)
        self.assertEqual(one.replicas(4, 31), 2)

    def test_to_zero_after_the_cooldown_and_from_one_of_the_bounds_alone(self):
        one = target()
        one.hear(0, active=True, value=1.0)
        one.hear(10, active=False, value=0.0)
        one.hear(20, value=0.0)
        self.assertEqual(one.replicas(1, 59), 1)
        self.assertEqual(one.replicas(1, 60), 0)
        bound = target(least=1)
        bound.hear(0, active=False, value=0.0)
        self.assertEqual(bound.replicas(1, 1e6), 1)

    def test_who_was_never_active_has_the_cooldown_from_the_first_look(self):
        one = target()
        self.assertEqual(one.replicas(1, 100), 1)
        self.assertEqual(one.replicas(1, 159), 1)
        self.assertEqual(one.replicas(1, 160), 0)

    def test_nothing_is_changed_before_the_metric_was_heard(self):
        one = target(least=1)
        one.hear(0, active=True)
        self.assertEqual(one.replicas(4, 0), 4)


class KubeletTest(unittest.TestCase):

    def test_the_program_of_an_image(self):
        for image, program in (("orchard-expert:0.1.0", "orchard-expert"),
                               ("registry.example:5000/farm/orchard-client:1", "orchard")):
            self.assertEqual(k8s_kubelet.program_of(image), program)
        with self.assertRaisesRegex(ClusterError, "busybox:1"):
            k8s_kubelet.program_of("busybox:1")

    def test_mounted_paths_are_folders(self):
        self.assertEqual(
            k8s_kubelet.with_mounts(["--config=/etc/orchard/a.toml", "/pictures/p.png", "--x=/etc/other"],
                                    {"/etc/orchard": "/w/settings", "/pictures": "/w/pictures"}),
            ["--config=/w/settings/a.toml", "/w/pictures/p.png", "--x=/etc/other"])

    def test_a_name_has_the_ready_addresses_of_all_its_slices(self):
        def one(service, *endpoints):
            return {"metadata": {"labels": {"kubernetes.io/service-name": service}},
                    "endpoints": [{"addresses": [address], "conditions": {"ready": ready}}
                                  for address, ready in endpoints] or None}
        self.assertEqual(
            k8s_kubelet.ready_addresses([one("fruit", ("10.0.0.3", True), ("10.0.0.9", False)),
                                         one("fruit", ("10.0.0.2", True)), one("rice")]),
            {"fruit": ["10.0.0.2", "10.0.0.3"], "rice": []})


if __name__ == "__main__":
    unittest.main()
