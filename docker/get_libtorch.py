#!/usr/bin/env python3
"""Unpacks an archive of LibTorch instead of Debian's, as the CUDA variant needs it.

Usage: docker/get_libtorch.py ARCHIVE SHA256 [INTO]
  ARCHIVE  https://… or file:///src/… of a zip with the folder libtorch/; nothing happens when empty
  SHA256   what its digest must be: it becomes a part of the programs
  INTO     its parent (default: /opt); the loader and CMake find it in INTO/libtorch
"""

import hashlib
import pathlib
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile

LOADER_FOLDERS = pathlib.Path("/etc/ld.so.conf.d")
CHUNK = 1 << 20


def fetch(archive, file):
    """Copies the archive into an open file and returns its SHA-256."""
    digest = hashlib.sha256()
    with urllib.request.urlopen(archive) as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
            file.write(chunk)
    return digest.hexdigest()


def unpack(archive, sha256, into):
    """Unpacks an archive whose digest is as promised; says what is wrong otherwise."""
    with tempfile.TemporaryFile() as file:
        try:
            found = fetch(archive, file)
        except (urllib.error.URLError, ValueError) as error:
            return f"{archive}: {error}"
        if found != sha256.lower():
            return f"{archive}: SHA-256 is {found}, LIBTORCH_SHA256 says {sha256 or 'nothing'}"
        with zipfile.ZipFile(file) as whole:
            whole.extractall(into)
    return None if (into / "libtorch/lib").is_dir() else f"{archive}: has no folder libtorch/lib"


def main():
    archive, sha256 = sys.argv[1:3]
    into = pathlib.Path(sys.argv[3] if len(sys.argv) > 3 else "/opt")
    if not archive:
        return
    if fault := unpack(archive, sha256, into):
        sys.exit(f"get_libtorch: {fault}")
    (LOADER_FOLDERS / "libtorch.conf").write_text(f"{into}/libtorch/lib\n", encoding="utf-8")
    subprocess.run(["ldconfig"], check=True)


if __name__ == "__main__":
    main()
