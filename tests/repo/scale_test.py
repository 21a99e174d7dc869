"""docs/scale.md holds what tools/scale makes of the committed inputs, and its arithmetic is right."""

import json
import sys
import unittest

import tree

sys.dont_write_bytecode = True
sys.path.insert(0, str(tree.ROOT / "tools"))
import scale_tables  # noqa: E402  (its folder is on the path only now)

# Round figures, so that a person can check the sums.
INPUTS = {
    "rate": 1000, "activations": {"rice": 30, "fruit": 70}, "pictures": 100,
    "quiet_capacity_a_core": 200, "zipf_exponent": 1.0,
    "map_domains": ["fruit"], "router": {"cores": 2, "utilisation": 0.5, "gib": 2},
    "expert": {"cores": 1, "utilisation": 0.5, "gib": 1}, "expert_subset": 2, "zones": 2,
    "node_cores": 64, "scrape_seconds": 10, "dns_seconds": 5,
    "limits": {"dns_addresses": 4080, "max_connections": 4096, "cluster_pods": 150000,
               "cluster_nodes": 5000, "link_gbit": 25},
    "example_prices": {"core_hour": 1, "gib_hour": 1, "zone_gb": 1, "client_gb": 1}}
MEASURED = {
    "router": {"capacity_a_core": 100.0, "cpu_ms": 9.0, "private_mib": 100, "series": 500,
               "scrape_bytes": 40000},
    "experts": {"fruit": {"cpu_ms": 2.0, "private_mib": 80, "series": 100, "scrape_bytes": 9000},
                "rice": {"cpu_ms": 1.0, "private_mib": 80, "series": 100, "scrape_bytes": 9000}},
    "wire_bytes": {"map": {"request": 300000, "response": 1000, "to_expert": 63000,
                           "from_expert": 400},
                   "pooled": {"request": 300000, "response": 1000, "to_expert": 5600,
                              "from_expert": 300}}}


class ArithmeticTest(unittest.TestCase):

    def setUp(self):
        self.fleet = scale_tables.Fleet(INPUTS, MEASURED)

    def test_routers_and_pods_follow_from_rate_cost_and_utilisation(self):
        self.assertEqual(self.fleet.routers, 10)  # 2 cores × 100/s × .5
        self.assertEqual([(d.name, d.pods) for d in self.fleet.domains],
                         [("fruit", 3), ("rice", 1)])  # 700/s × 2 ms / .5; 300/s × 1 ms / .5
        self.assertEqual((self.fleet.router_cores, self.fleet.expert_cores), (20, 4))

    def test_connections_are_bounded_by_the_subset(self):
        self.assertEqual(self.fleet.connections(0), 10 * 4)
        self.assertEqual(self.fleet.connections(2), 10 * 3)

    def test_bytes_are_those_of_who_is_asked(self):
        self.assertAlmostEqual(self.fleet.bytes_a_picture("to_expert"), .7 * 63000 + .3 * 5600)
        both = .7 * 63400 + .3 * 5900
        self.assertAlmostEqual(self.fleet.across_zones(), both / 2)

    def test_zipf_gives_ranks_their_harmonic_share(self):
        shares = scale_tables.zipf(["a", "b", "c"], 1.0)
        self.assertAlmostEqual(shares["a"], 6 / 11)
        self.assertAlmostEqual(shares["a"] / shares["c"], 3)

    def test_series_are_those_of_all_processes(self):
        self.assertEqual(self.fleet.series(), (5000, 400))

    def test_numbers_have_three_digits(self):
        self.assertEqual([scale_tables.number(x) for x in (0, 1234567, 12.345, .01234, 100.0)],
                         ["0", "1,230,000", "12.3", "0.0123", "100"])

    def test_every_table_is_one(self):
        for section, text in scale_tables.tables(INPUTS, MEASURED).items():
            widths = {line.count("|") for line in text.splitlines()}
            self.assertEqual(len(widths), 1, f"{section}:\n{text}")


class PageTest(unittest.TestCase):

    def test_tables_are_those_of_the_committed_inputs(self):
        def read(name):
            return json.loads((tree.ROOT / "bench/fleet" / name).read_text(encoding="utf-8"))

        page = (tree.ROOT / "docs/scale.md").read_text(encoding="utf-8")
        for section, text in scale_tables.tables(read("scale.json"), read("measured.json")).items():
            self.assertIn(f"<!-- {section}: begin -->\n{text}\n<!-- {section}: end -->", page,
                          f"{section} is out of date: ./dev scale write")


if __name__ == "__main__":
    unittest.main()
