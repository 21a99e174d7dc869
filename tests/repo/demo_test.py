"""tools/demo with programs that only play their parts: what it says, how it ends, what it leaves.

The real programs are tested by tests/e2e; here a picture's name says what becomes of it.
"""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import unittest

import tree

DEMO = tree.ROOT / "tools/demo"
PATIENCE_S = 60

HEAD = f"#!{sys.executable}\n"

# Writes down that it runs, says that it is ready and waits for SIGTERM. A router with all experts
# inside is at 127.0.0.1:2, one that asks others at 127.0.0.1:1. USUAL is its answer to port 8001.
SERVER = HEAD + r'''
import http.server, os, pathlib, signal, sys, threading
ME = pathlib.Path(sys.argv[0])
(ME.parent / "started" / str(os.getpid())).touch()
if "127.0.0.1:8001" in sys.argv and "USUAL" in os.environ:
    sys.exit(f"orchard-router: {os.environ['USUAL']}")
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'orchard_routed_images_total{domain="rice",model="tiny"} 3\n')
    def log_message(self, *_):
        pass
page = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
threading.Thread(target=page.serve_forever, daemon=True).start()
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
port = 1 if "--expert" in sys.argv else 2
print(f"{ME.name} ready grpc=127.0.0.1:{port} http=127.0.0.1:3 metrics=127.0.0.1:{page.server_port}",
      flush=True)
while True:
    signal.pause()
'''

CLIENT = HEAD + r'''
import json, pathlib, sys
embedded = "127.0.0.1:2" in sys.argv
code = 0
for file in sorted(pathlib.Path(sys.argv[-1]).iterdir()):
    if file.stem == "corrupt" or (file.stem == "flaky" and embedded):
        print(f"orchard: {file}: INVALID_ARGUMENT: not a picture", file=sys.stderr)
        code = 1
        continue
    odd = file.stem == "odd" and embedded
    print(json.dumps({
        "file": str(file), "degraded": file.stem == "degraded", "outcome": "OK", "coverage": 1.0,
        "predictions": [{"label": "husk", "domain": "rice", "probability": 0.5 if odd else 0.9}],
        "routing": {"branch": "disease"}, "stages_ms": {"experts": 1.0}}))
sys.exit(code)
'''


# Listens as Prometheus would and says that it is ready; "Configuration" is what it was given.
PROMETHEUS = HEAD + r'''
import http.server, os, pathlib, signal, sys
ME = pathlib.Path(sys.argv[0])
(ME.parent / "started" / str(os.getpid())).touch()
config = next(a.split("=", 1)[1] for a in sys.argv if a.startswith("--config.file="))
(ME.parent / "config").write_text(config + "\n" + pathlib.Path(config).read_text())
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/-/ready" else 404)
        self.end_headers()
    def log_message(self, *_):
        pass
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page).serve_forever()
'''


class Demo:
    """A planted build folder, model and pictures, and the demo on them."""

    def __init__(self, root):
        self.root = root
        for name in ("orchard", "orchard-router", "orchard-expert", "prometheus"):
            (root / "bin" / name).chmod(0o755)
        (root / "bin/started").mkdir()

    def start(self, **settings):
        environment = {name: value for name, value in os.environ.items()
                       if name not in ("ONCE", "DASH", "IMAGES", "MODEL")}
        environment |= {"PATH": f"{self.root}/bin:{os.environ['PATH']}",
                        "IMAGES": str(self.root / "images"), "MODEL": str(self.root / "model"),
                        **settings}
        return subprocess.Popen([sys.executable, "-B", DEMO, self.root / "bin"], env=environment,
                                text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def run(self, **settings):
        """(exit code, stdout, stderr) of a demo that ends by itself."""
        process = self.start(**settings)
        out, err = process.communicate(timeout=PATIENCE_S)
        return process.returncode, out, err

    def left(self):
        """Programs that were started and still run."""
        pids = [int(path.name) for path in (self.root / "bin/started").iterdir()]
        assert pids, "nothing was started"
        return [pid for pid in pids if pathlib.Path("/proc", str(pid)).exists()]


@contextlib.contextmanager
def planted(*images):
    files = {"bin/orchard": CLIENT, "bin/orchard-router": SERVER, "bin/orchard-expert": SERVER,
             "bin/prometheus": PROMETHEUS,
             "model/1/manifest.json": json.dumps({"experts": [{"domain": "rice"}]})}
    with tree.planted(files | {f"images/{name}.jpg": "" for name in images}) as root:
        yield Demo(root)


def read_until(stream, text):
    """What `stream` says up to the line with `text`; all of it when that never comes."""
    said = ""
    for line in stream:
        said += line
        if text in line:
            break
    return said


@unittest.skipUnless(shutil.which("setpriv"), "setpriv is missing")
class DemoTest(unittest.TestCase):

    def test_once_is_zero_when_everything_was_answered(self):
        with planted("a", "b") as demo:
            code, out, err = demo.run(ONCE="1")
            self.assertEqual((code, err), (0, ""), out)
            self.assertEqual(demo.left(), [])
        for text in ("a.jpg", "b.jpg", "rice", "gRPC     127.0.0.1:1", "difference 0.0e+00"):
            self.assertIn(text, out)

    def test_once_is_one_when_something_went_wrong_and_everything_is_said(self):
        for image, text in [("corrupt", "corrupt.jpg: INVALID_ARGUMENT"),
                            ("degraded", "answered without all experts"),
                            ("flaky", "fail differently"), ("odd", "answers differ by")]:
            with self.subTest(image), planted("a", image) as demo:
                code, out, err = demo.run(ONCE="1")
                self.assertEqual(code, 1)
                self.assertIn(text, err)
                self.assertIn("gRPC     127.0.0.1:1", out)
                self.assertEqual(demo.left(), [])

    def test_failures_that_both_ways_of_running_share_are_no_disagreement(self):
        with planted("a", "corrupt") as demo:
            _, out, err = demo.run(ONCE="1")
        self.assertIn("difference 0.0e+00", out)
        self.assertNotIn("differ", err)

    def test_serves_on_after_failures_and_ends_in_order(self):
        for number, code in [(signal.SIGINT, 0), (signal.SIGTERM, 143)]:
            with self.subTest(number.name), planted("a", "corrupt", "degraded") as demo:
                process = demo.start()
                said = read_until(process.stdout, "serving until Ctrl-C")
                self.assertIn("gRPC     127.0.0.1:1", said)
                self.assertEqual(len(demo.left()), 2, "one expert and one router serve")
                process.send_signal(number)
                process.send_signal(number)
                _, err = process.communicate(timeout=PATIENCE_S)
                self.assertEqual(process.returncode, code, err)
                self.assertIn("corrupt.jpg: INVALID_ARGUMENT", err)
                self.assertEqual(demo.left(), [])

    def test_goes_to_free_ports_when_the_usual_ones_are_taken(self):
        with planted("a") as demo:
            process = demo.start(USUAL="can't listen on 127.0.0.1:8001: Address already in use")
            said = read_until(process.stdout, "serving until Ctrl-C")
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=PATIENCE_S)
            self.assertIn("the default ports are taken", said)
            self.assertEqual(demo.left(), [])

    def test_a_router_that_fails_for_another_reason_is_reported(self):
        with planted("a") as demo:
            code, out, err = demo.run(USUAL="encoder.safetensors: checksum differs")
            self.assertEqual(code, 1)
            self.assertIn("encoder.safetensors: checksum differs", err)
            self.assertNotIn("taken", out)
            self.assertEqual(demo.left(), [])

    def test_prometheus_is_beside_it_when_asked_for_and_goes_with_it(self):
        with planted("a") as demo:
            code, out, err = demo.run(ONCE="1", DASH="1")
            self.assertEqual((code, err), (0, ""), out)
            self.assertEqual(demo.left(), [])
            file, config = (demo.root / "bin/config").read_text().split("\n", 1)
        self.assertRegex(out, r"http://127\.0\.0\.1:\d+/graph\?\S*orchard%3Aexpert_load_share")
        # Each process is scraped once, at the address that it said.
        for job in ("orchard-router", "orchard-expert"):
            self.assertRegex(config, rf'job_name: {job}\n(.*\n)*? +- targets: \["127.0.0.1:\d+"\]\n')
        self.assertNotIn("9093", config)
        self.assertFalse(pathlib.Path(file).parent.exists(), "the storage is gone")

    def test_without_being_asked_there_is_no_prometheus(self):
        with planted("a") as demo:
            code, out, err = demo.run(ONCE="1", DASH="0")
            self.assertEqual((code, err), (0, ""), out)
            self.assertFalse((demo.root / "bin/config").exists())
        self.assertNotIn("Prometheus", out)

    def test_a_prometheus_that_does_not_start_fails_the_demo_with_its_words(self):
        with planted("a") as demo:
            (demo.root / "bin/prometheus").write_text("#!/bin/sh\necho no room >&2\nexit 3\n")
            code, _, err = demo.run(ONCE="1", DASH="1")
            self.assertEqual(code, 1)
            self.assertIn("prometheus ended with 3:\nno room", err)
            self.assertEqual(demo.left(), [])

    def test_settings_that_name_nothing_are_refused_before_anything_starts(self):
        for setting in ("IMAGES", "MODEL"):
            with self.subTest(setting), planted("a") as demo:
                code, _, err = demo.run(ONCE="1", **{setting: "/nowhere"})
                self.assertEqual(code, 1)
                self.assertRegex(err, "^demo: .*/nowhere")
                self.assertEqual(list((demo.root / "bin/started").iterdir()), [])


if __name__ == "__main__":
    unittest.main()
