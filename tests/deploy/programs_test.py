"""The programs start with the flags and the settings files that the chart gives them."""

import os
import pathlib
import re
import signal
import subprocess
import tempfile
import threading
import unittest

import renders

READY_TIMEOUT_S = 120
STOP_TIMEOUT_S = 60


class ProgramsTest(unittest.TestCase):

    def start(self, name, component):
        """Runs the first pod's program of a component on loopback until it is ready, then ends it;
        returns its ready line."""
        binary = renders.BIN / f"orchard-{component}"
        if not binary.is_file():
            self.skipTest(f"not built: {binary}")
        spec = next(spec for _, labels, spec in renders.pods(name)
                    if labels["app.kubernetes.io/component"] == component)
        (volume,) = [v["configMap"] for v in spec["volumes"] if v["name"] == "settings"]
        text = renders.by_name(name, "ConfigMap")[volume["name"]]["data"][volume["items"][0]["key"]]
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, f"{component}.toml")
            file.write_text(text, encoding="utf-8")
            arguments = [re.sub(r"^(--[a-z-]*listen)=.*$", r"\1=127.0.0.1:0", a)
                         .replace(f"/etc/orchard/{component}.toml", str(file))
                         for a in spec["containers"][0]["args"]]
            with open(pathlib.Path(folder, "log"), "w+", encoding="utf-8") as log:
                process = subprocess.Popen([binary, *arguments, "--drain-delay=0s"], text=True,
                                           stdout=subprocess.PIPE, stderr=log)
                watchdog = threading.Timer(READY_TIMEOUT_S, process.kill)
                watchdog.start()
                try:
                    line = process.stdout.readline()
                    process.send_signal(signal.SIGTERM)
                    code = process.wait(STOP_TIMEOUT_S)
                finally:
                    watchdog.cancel()
                    if process.poll() is None:
                        process.kill()
                        process.wait()
                    process.stdout.close()
                log.seek(0)
                self.assertIn(f"orchard-{component} ready", line, log.read())
                self.assertEqual(code, 0)
        return line

    def test_a_router(self):
        self.assertRegex(self.start("default", "router"), r"http=127\.0\.0\.1:\d+ metrics=")

    def test_an_expert(self):
        self.assertIn("grpc=127.0.0.1:", self.start("default", "expert"))

    def test_a_router_with_other_settings(self):
        if renders.AWAITED:
            self.skipTest(f"the router has no {', '.join(sorted(renders.AWAITED))} yet")
        self.start("scale_to_zero", "router")


if __name__ == "__main__":
    # Other variables of ours would win over the files.
    for variable in [v for v in os.environ if v.startswith("ORCHARD_") and v not in
                     ("ORCHARD_BIN_DIR", "ORCHARD_SOURCE_DIR")]:
        del os.environ[variable]
    unittest.main()
