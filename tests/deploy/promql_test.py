"""The small reader of PromQL that other tests here stand on."""

import unittest

import promql


class NamesTest(unittest.TestCase):

    def test_metrics_are_told_from_functions_labels_and_words(self):
        for text, wanted in [
                ('sum by (namespace, le) (rate(a_bucket{job="b c",x=~"d|e"}[5m]))', {"a_bucket"}),
                ("x:y:rate5m > 0.5  # z of w\n and on (domain) group_left () b_total >= 1e3",
                 {"x:y:rate5m", "b_total"}),
                ("histogram_quantile(0.95, c) or vector(0)", {"c"}),
                ("time() - max(d) unless e offset 5m", {"d", "e"}),
                ("sum(f) by (instance) / scalar(g) > bool 1", {"f", "g"}),
                ("- sum by (a) (h * ln(h > 0)) / count without (b) (i)", {"h", "i"})]:
            with self.subTest(text):
                self.assertEqual(promql.names(text) - {"m"}, wanted)

    def test_what_nobody_exports_is_found(self):
        self.assertEqual(promql.faults("rate(orchard_request_total[5m]) + up",
                                       {"orchard_requests_total"}), ["orchard_request_total"])


class ListTest(unittest.TestCase):

    def test_histograms_are_their_series(self):
        listed = promql.listed_metrics()
        self.assertEqual(listed["orchard_stage_duration_seconds_bucket"], {"stage", "le"})
        self.assertNotIn("orchard_stage_duration_seconds", listed)
        self.assertEqual(listed["orchard_requests_total"], {"method", "code"})


if __name__ == "__main__":
    unittest.main()
