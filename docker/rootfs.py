#!/usr/bin/env python3
"""Lays out the root folders of the images: programs, the shared libraries that they load, and no more.

Usage: docker/rootfs.py BUILD PROGRAMS INTO, in the build stage of docker/Dockerfile
  BUILD     the build folder: which headers went into a program is read from Ninja's log of it
  PROGRAMS  the folder of the installed programs
  INTO      becomes runtime/ (what router, expert and trainer share), router/, expert/, trainer/
            (each: program and SBOM, to lie upon runtime/) and client/ (whole)

Libraries are what the dynamic loader would load, no package more. They keep what makes them Debian's:
the control data of their packages in /var/lib/dpkg/status.d, where scanners of images without dpkg
look, and the copyright file of each. Why copied and not installed: docs/decisions/0018.
"""

import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys

import sbom

SERVED = {"router": "orchard-router", "expert": "orchard-expert", "trainer": "orchard-train"}
CLIENT = "orchard"
USER = 65532
HOME = "/opt/orchard"
UNPACKED = pathlib.Path("/opt/libtorch")  # what docker/get_libtorch.py unpacks belongs to no package

# Files beside libraries that a program reads: who trusted authorities are, how hosts are looked up,
# which Debian this is (scanners ask), and the licences that copyright files refer to.
FILES = ["/etc/ssl/certs/ca-certificates.crt", "/etc/nsswitch.conf", "/usr/lib/os-release"]
FOLDERS = ["/usr/share/common-licenses"]
PACKAGES = ["base-files", "ca-certificates"]  # which these are from
WRITTEN = {
    "etc/passwd": f"orchard:x:{USER}:{USER}::/:/sbin/nologin\n",
    "etc/group": f"orchard:x:{USER}:\n",
}


class RootfsError(Exception):
    """What makes an image impossible, in words for whoever builds it."""


def ask(*command):
    """What a command says; fails when it does."""
    run = subprocess.run(command, capture_output=True, text=True, check=False,
                         env=os.environ | {"LC_ALL": "C.UTF-8"})
    if run.returncode != 0:
        raise RootfsError(f"{' '.join(map(str, command))}: {run.stderr.strip() or 'failed'}")
    return run.stdout


def loaded(said):
    """The files in what ldd says; fails when one is missing."""
    missing = re.findall(r"^\s*(\S+) => not found", said, re.MULTILINE)
    if missing:
        raise RootfsError(f"not found by the loader: {', '.join(sorted(set(missing)))}")
    return {pathlib.Path(path) for path in re.findall(r"(?:=> |^\s*)(/\S+) \(0x", said, re.MULTILINE)}


def libraries(programs):
    """Every shared library that the loader maps for these programs, the loader with them."""
    return set().union(*(loaded(ask("ldd", program)) for program in programs))


def spellings(path):
    """A path as packages may name it: older ones install to /lib what lies in /usr/lib."""
    real = os.path.realpath(path)
    return {str(path), real, re.sub(r"^/usr(?=/lib)", "", real), re.sub(r"^(?=/lib)", "/usr", real)}


def owners(paths):
    """{path: package} of installed files; those of UNPACKED are left out."""
    ours = [path for path in paths if UNPACKED not in pathlib.Path(os.path.realpath(path)).parents]
    names = {name for path in ours for name in spellings(path)}
    run = subprocess.run(["dpkg-query", "--search", *sorted(names)], capture_output=True, text=True,
                         check=False, env=os.environ | {"LC_ALL": "C.UTF-8"})
    package_of = {}
    for line in run.stdout.splitlines():
        packages, _, name = line.partition(": ")
        if not packages.startswith("diversion by "):
            package_of[name] = packages.split(", ")[0]
    found = {path: next((package_of[name] for name in sorted(spellings(path)) if name in package_of),
                        None) for path in ours}
    lost = sorted(str(path) for path, package in found.items() if package is None)
    if lost:
        raise RootfsError(f"of no package, so nobody could say what they are: {', '.join(lost)}")
    return found


def place(path, root):
    """Copies a library into `root` under the name by which it is loaded; returns the file's path."""
    folder = pathlib.Path(os.path.realpath(path.parent))
    real = pathlib.Path(os.path.realpath(path))
    target = root / real.relative_to("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        shutil.copy2(real, target)
    link = root / folder.relative_to("/") / path.name
    link.parent.mkdir(parents=True, exist_ok=True)
    if link != target and not link.is_symlink():
        link.symlink_to(os.path.relpath(target, link.parent))
    return target


def copyright_of(package, root):
    """The copyright file of a package, where Debian has it."""
    name = package.partition(":")[0]
    source = pathlib.Path("/usr/share/doc", name, "copyright")
    if not source.exists():
        raise RootfsError(f"{source} is missing: an image must carry the terms of what it holds")
    target = root / source.relative_to("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)


def record(package, files, root):
    """What a package is and which of its files are here, as scanners read it, and its terms."""
    name = package.partition(":")[0]
    folder = root / "var/lib/dpkg/status.d"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(sbom.control_data(ask("dpkg-query", "--status", package)),
                               encoding="utf-8")
    sums = [f"{hashlib.md5(file.read_bytes()).hexdigest()}  {file.relative_to(root)}\n"
            for file in sorted(files)]
    (folder / f"{name}.md5sums").write_text("".join(sums), encoding="utf-8")
    copyright_of(package, root)


def headers(build, program):
    """The headers of packages that were compiled into a program."""
    inputs = ask("ninja", "-C", build, "-t", "inputs", f"bin/{program}").splitlines()
    objects = [name for name in inputs if name.endswith(".o")]
    said = ask("ninja", "-C", build, "-t", "deps", *objects)
    return {pathlib.Path(path) for path in re.findall(r"^\s+(/\S+)$", said, re.MULTILINE)}


def base(root):
    """What every image has beside programs and libraries."""
    for name in ("lib", "lib64"):  # One /usr, as Debian has it.
        (root / f"usr/{name}").mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(f"usr/{name}")
    for name in ("dev", "proc", "sys", "etc"):  # Where a container mounts, also upon a read-only root.
        (root / name).mkdir()
    for name in ("tmp", "run"):
        (root / name).mkdir()
        (root / name).chmod(0o1777)
    for path in FILES:
        target = root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
    (root / "etc/os-release").symlink_to("../usr/lib/os-release")
    for path in FOLDERS:
        shutil.copytree(path, root / path.lstrip("/"), symlinks=True)
    for path, text in WRITTEN.items():
        (root / path).write_text(text, encoding="utf-8")
    terms = root / "usr/share/doc/orchard"
    terms.mkdir(parents=True)
    for name in ("LICENSE", "NOTICE"):
        shutil.copy2(name, terms)


def lay_runtime(root, programs, compiled):
    """Everything but the programs themselves: the libraries of all, and whose they are."""
    root.mkdir(parents=True)
    base(root)
    found = libraries(programs)
    package_of = owners(found)
    files = {package: set() for package in PACKAGES}
    for path in sorted(found):
        target = place(path, root)
        if path in package_of:
            files.setdefault(package_of[path], set()).add(target)
    for package, placed in files.items():
        record(package, placed, root)
    for package in compiled - set(files):
        copyright_of(package, root)
    # The loader's own index, which also names what lies outside its usual folders.
    for path in ["/etc/ld.so.conf", "/etc/ld.so.conf.d"]:
        copy = shutil.copytree if os.path.isdir(path) else shutil.copy2
        copy(path, root / path.lstrip("/"))
    ask("ldconfig", "-r", root)
    shutil.rmtree(root / "var/cache", ignore_errors=True)  # ldconfig's notes for its next run


def lay_program(root, program, runtime, image, compiled):
    """A program and the SBOM of its image, which stands upon `runtime`."""
    folder = root / HOME.lstrip("/") / "bin"
    folder.mkdir(parents=True)
    shutil.copy2(program, folder)
    folder.parent.joinpath("sbom.spdx.json").write_text(
        sbom.render(f"orchard-{image}", runtime / "var/lib/dpkg/status.d",
                    [ask("dpkg-query", "--status", package) for package in sorted(compiled)],
                    runtime / "usr/lib/os-release", UNPACKED / "build-version"), encoding="utf-8")


def lay_out(build, programs, into):
    def compiled(program):
        return set(owners(headers(build, program)).values())

    served = {image: compiled(program) for image, program in SERVED.items()}
    lay_runtime(into / "runtime", [programs / program for program in SERVED.values()],
                set().union(*served.values()))
    for image, program in SERVED.items():
        lay_program(into / image, programs / program, into / "runtime", image, served[image])
    client = compiled(CLIENT)
    lay_runtime(into / "client", [programs / CLIENT], client)
    lay_program(into / "client", programs / CLIENT, into / "client", "client", client)
    (into / "client/pictures").mkdir()  # where `docker run -v "$PWD:/pictures"` puts them
    (into / "trainer/data").mkdir()


def main():
    try:
        lay_out(sys.argv[1], *map(pathlib.Path, sys.argv[2:4]))
    except RootfsError as error:
        sys.exit(f"rootfs: {error}")


if __name__ == "__main__":
    main()
