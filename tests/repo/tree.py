"""The tree under test, and small trees planted to see a checker fail."""

import contextlib
import os
import pathlib
import subprocess
import tempfile

ROOT = pathlib.Path(
    os.environ.get("ORCHARD_SOURCE_DIR") or pathlib.Path(__file__).resolve().parents[2])

# Never ours, or never committed (.gitignore).
SKIPPED = {".git", "build", "install", "__pycache__", ".cache", ".venv", "node_modules"}


def walk(root):
    """All files below `root`, as sorted paths relative to it. Needs no git: a fresh tree has none."""
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(set(folders) - SKIPPED)
        found += [pathlib.Path(folder, name).relative_to(root) for name in names]
    return sorted(found)


def committed(root):
    """What git tracks, as far as it is there; without git all files."""
    listed = None
    if (root / ".git").exists():
        with contextlib.suppress(OSError):  # git isn't installed.
            listed = subprocess.run(["git", "-c", f"safe.directory={root}", "ls-files", "-z"],
                                    cwd=root, capture_output=True, check=False)
    if listed is None or listed.returncode != 0:
        return walk(root)
    paths = [pathlib.Path(os.fsdecode(name)) for name in listed.stdout.split(b"\0") if name]
    return sorted(path for path in paths if (root / path).is_file())


@contextlib.contextmanager
def planted(files):
    """A temporary tree of {path: text or bytes}."""
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for name, content in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        yield root


def report(faults):
    """One message for a failed test: every fault at once."""
    return "\n" + "\n".join(faults)
