"""The programs start with the flags and the settings files that the chart gives them."""

import base64
import contextlib
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

    def program(self, name):
        binary = renders.BIN / name
        if not binary.is_file():
            self.skipTest(f"not built: {binary}")
        return binary

    @contextlib.contextmanager
    def running(self, command, folder):
        """The ready line of a program, which is ended afterwards and must then have drained."""
        with open(pathlib.Path(folder, "log"), "w+", encoding="utf-8") as log:
            process = subprocess.Popen([*command, "--drain-delay=0s"], text=True, stdout=subprocess.PIPE,
                                       stderr=log)
            watchdog = threading.Timer(READY_TIMEOUT_S, process.kill)
            watchdog.start()
            try:
                line = process.stdout.readline()
                watchdog.cancel()
                if " ready " not in line:
                    process.wait(STOP_TIMEOUT_S)
                    log.seek(0)
                    self.fail(f"it did not start:\n{log.read()}")
                yield line
                process.send_signal(signal.SIGTERM)
                self.assertEqual(process.wait(STOP_TIMEOUT_S), 0)
            finally:
                watchdog.cancel()
                if process.poll() is None:
                    process.kill()
                    process.wait()
                process.stdout.close()

    def start(self, name, component):
        """Runs the first pod's program of a component on loopback; returns its ready line."""
        binary = self.program(f"orchard-{component}")
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
            with self.running([binary, *arguments], folder) as line:
                return line

    def test_a_router(self):
        self.assertRegex(self.start("default", "router"), r"http=127\.0\.0\.1:\d+ metrics=")

    def test_an_expert(self):
        self.assertIn("grpc=127.0.0.1:", self.start("default", "expert"))

    def test_a_router_with_other_settings(self):
        self.start("scale_to_zero", "router")

    def last_words(self, component, *arguments):
        """What a pod's status shows of a start that fails: the last line (FallbackToLogsOnError)."""
        run = subprocess.run([self.program(f"orchard-{component}"), "--listen=127.0.0.1:0",
                              "--metrics-listen=127.0.0.1:0", *arguments], capture_output=True, text=True,
                             check=False, timeout=READY_TIMEOUT_S)
        self.assertEqual((run.returncode, run.stdout), (1, ""), run.stderr)
        return run.stderr.splitlines()[-1]

    def test_a_start_that_fails_ends_with_the_reason(self):
        for _, _, spec in renders.pods("default"):
            for container in spec["containers"]:
                self.assertEqual(container["terminationMessagePolicy"], "FallbackToLogsOnError")
        with tempfile.TemporaryDirectory() as folder:
            for component, listen in (("router", ["--http-listen=127.0.0.1:0"]), ("expert", [])):
                with self.subTest(component):
                    self.assertEqual(
                        self.last_words(component, *listen, f"--model={folder}"),
                        f"orchard-{component}: {folder}: no model here: neither manifest.json nor a folder "
                        "named by a number")
                    self.assertEqual(
                        self.last_words(component, *listen, f"--tls-cert={folder}/tls.crt",
                                        f"--tls-key={folder}/tls.key"),
                        f"orchard-{component}: {folder}/tls.crt: no such file")

    def test_what_helm_test_asks_is_answered(self):
        (pod,) = renders.of_kind("default", "Pod")
        (test,) = [o for o in renders.of_kind("default", "ConfigMap") if "binaryData" in o]
        client, router = self.program("orchard"), self.program("orchard-router")
        listens = [f"--{port}=127.0.0.1:0" for port in ("listen", "http-listen", "metrics-listen")]
        with tempfile.TemporaryDirectory() as folder:
            picture = pathlib.Path(folder, "picture.png")
            picture.write_bytes(base64.b64decode(test["binaryData"]["picture.png"]))
            with self.running([router, *listens], folder) as line:
                for container in renders.containers(pod["spec"]):
                    environment = {e["name"]: e["value"] for e in container["env"]}
                    environment["ORCHARD_SERVER"] = re.search(r"grpc=(\S+)", line)[1]
                    arguments = [a.replace("/pictures/picture.png", str(picture))
                                 for a in container["args"]]
                    run = subprocess.run([client, *arguments], env=environment, capture_output=True,
                                         text=True, check=False, timeout=READY_TIMEOUT_S)
                    self.assertEqual(run.returncode, 0, run.stderr)
                    self.assertTrue(run.stdout.strip(), f"{arguments}: no answer")


if __name__ == "__main__":
    # Other variables of ours would win over the files.
    for variable in [v for v in os.environ if v.startswith("ORCHARD_") and v not in
                     ("ORCHARD_BIN_DIR", "ORCHARD_SOURCE_DIR")]:
        del os.environ[variable]
    unittest.main()
