"""Routers, experts and callers on hosts of their own: `./dev hosts-test` at a quick pace.

Needs root, iproute2 and dnsmasq; elsewhere it is skipped, and says why.
"""

import os
import pathlib
import tempfile
import unittest

import hosts_network
import hosts_trials
from hosts_fleet import Pace

REASON = hosts_network.why_not()
PATIENCE_S = 300
# An expert has time enough on a busy machine: what is tried is not how quick it is.
PACE = Pace(dns_interval_s=0.5, pre_stop_s=0.5, drain_delay_s=0.5, expert_timeout_s=60,
            patience_s=PATIENCE_S)


@unittest.skipIf(REASON, REASON)
class HostsTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        folder = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="orchard-hosts-"))
        cls.stage = hosts_trials.Stage.prepared(
            pathlib.Path(os.environ["ORCHARD_BIN_DIR"]), pathlib.Path(folder), ["fruit", "vegetable"],
            pace=PACE, between=15, callers=1, batch=20, in_flight=1, pick_up_s=PATIENCE_S,
            silence_s=PATIENCE_S)

    def test_a_new_encoder_rolls_through_without_a_lost_picture(self):
        hosts_trials.roll(self.stage, pictures=0)

    def test_routers_make_way_for_others_behind_one_name(self):
        # So many that one caller is there from the first to the last change.
        hosts_trials.renewed(self.stage, pictures=600)


if __name__ == "__main__":
    unittest.main()
