"""Every architecture, and the parts of the checked-in models, by ONNX Runtime on 100 drawn pictures.

Usage: onnx_runtime_test.py WRITE_ONNX_CASES. Exit code 77 where ONNX Runtime isn't: tools/onnx-runtime.
"""

import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(os.environ["ORCHARD_SOURCE_DIR"])
ROWS = 100
TOLERANCE = 1e-4  # of the largest answer, and absolute where that is below 1
SKIPPED = 77


def in_environment():
    """Starts this script again under the Python that has ONNX Runtime."""
    found = subprocess.run([ROOT / "tools/onnx-runtime"], capture_output=True, text=True, check=False)
    if found.returncode:
        print(f"skipped: {found.stderr.strip()}")
        return SKIPPED
    return subprocess.run([found.stdout.strip(), "-B", *sys.argv, "--here"], check=False).returncode


def read_safetensors(path):
    import numpy
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + length])
    body = data[8 + length:]
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        tensors[name] = numpy.frombuffer(body[begin:end], dtype="<f4").reshape(entry["shape"])
    return tensors


def faults_of(model, tensors):
    """Runs all rows at once and three of them alone: (largest difference, what is wrong)."""
    import numpy
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    rows = tensors[given.name]
    if given.type == "tensor(uint8)":
        rows = rows.astype(numpy.uint8)
    names = [output.name for output in session.get_outputs()]
    worst, faults = 0.0, []
    for count in (ROWS, 3):
        for name, answer in zip(names, session.run(names, {given.name: rows[:count]})):
            wanted = tensors[name][:count]
            if answer.shape != wanted.shape:
                faults.append(f"{name} has shape {answer.shape}, not {wanted.shape}")
                continue
            spread = float(numpy.std(wanted, axis=0).max())
            if count == ROWS and spread < 1e-3:
                faults.append(f"{name} hardly depends on the picture: a deviation of {spread:.1e}")
            difference = float(numpy.abs(answer - wanted).max() / max(1.0, numpy.abs(wanted).max()))
            worst = max(worst, difference)
            if not difference <= TOLERANCE:
                faults.append(f"{name} of {count} rows differs by {difference:.1e}")
    return worst, faults


def main():
    if sys.argv[-1] != "--here":
        return in_environment()
    models = sorted(path for path in (ROOT / "models").iterdir() if path.is_dir())
    failed = 0
    with tempfile.TemporaryDirectory(prefix="orchard-onnx-") as name:
        folder = pathlib.Path(name)
        subprocess.run([sys.argv[1], folder, str(ROWS), *models], check=True)
        written = sorted(folder.glob("*.onnx"))
        for model in written:
            worst, faults = faults_of(model, read_safetensors(model.with_suffix(".safetensors")))
            print(f"{model.stem}: {worst:.1e}", *faults, sep="; ")
            failed += bool(faults)
    print(f"{len(written)} files, {failed} of them differ")
    return 1 if failed or not written else 0


if __name__ == "__main__":
    sys.exit(main())
