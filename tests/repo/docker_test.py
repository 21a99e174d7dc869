"""docker/Dockerfile and .dockerignore, as far as they can be checked without building.

  - the targets are there, begin from scratch and run as 65532, the program itself as entry point;
  - nothing is fetched by ADD; what COPY takes is there and is not ignored, or comes from a stage;
  - every image says what it is, in the labels of OCI, with the version of CMakeLists.txt;
  - flags and variables are those of the programs (looked for in $ORCHARD_BIN_DIR; missing ones are
    skipped), and ports those that the image listens to;
  - a build sees every folder of sources, and nothing of build/ or .git.
"""

import collections
import fnmatch
import functools
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

import tree

sys.path.insert(0, str(tree.ROOT / "docker"))
import get_libtorch  # noqa: E402
import rootfs  # noqa: E402

BIN_DIR = pathlib.Path(os.environ.get("ORCHARD_BIN_DIR") or tree.ROOT / "build/release/bin")
TARGETS = {"router": "orchard-router", "expert": "orchard-expert", "trainer": "orchard-train",
           "client": "orchard", "model": None}  # and the program of each
USER = "65532:65532"
LABELS = ("title", "description", "version", "revision", "source", "licenses")
PROGRAMS = "/opt/orchard/bin/"

Stage = collections.namedtuple("Stage", "base instructions")


def instructions(text):
    """(word, arguments) of a Dockerfile; comments are left out, continued lines joined."""
    lines = [line for line in text.splitlines() if not re.match(r"\s*#", line)]
    joined = re.sub(r"\\\n", " ", "\n".join(lines))
    return [tuple(line.split(None, 1)) for line in joined.splitlines() if line.strip()]


def stages(text):
    """{name: Stage} of a Dockerfile, in order."""
    found, current = {}, None
    for word, arguments in instructions(text):
        if word == "FROM":
            base, _, name = arguments.partition(" AS ")
            current = Stage(base, [])
            found[name] = current
        elif current:
            current.instructions.append((word, arguments))
    return found


def whole(text, name):
    """All instructions of a stage, those of what it stands on first; the name of the last base."""
    known = stages(text)
    taken = []
    while name in known:
        taken = known[name].instructions + taken
        name = known[name].base
    return taken, name


def last(taken, word):
    return next((arguments for other, arguments in reversed(taken) if other == word), None)


def pairs(taken, word):
    """{name: value} of all ENV or LABEL of a stage."""
    return {name: quoted if quoted else plain for other, arguments in taken if other == word
            for name, quoted, plain in re.findall(r'([\w.-]+)=(?:"([^"]*)"|(\S*))', arguments)}


def ignored(rules, path):
    """Whether .dockerignore keeps a path out of the build: the last rule that matches it, or a folder
    above it, decides."""
    out = False
    for rule in rules.splitlines():
        if rule and not rule.startswith("#"):
            pattern = rule.lstrip("!").rstrip("/")
            parts = pathlib.PurePosixPath(path).parts
            prefixes = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
            if pattern.startswith("**/"):
                hit = any(fnmatch.fnmatch(part, pattern[3:]) for part in parts)
            else:
                hit = any(fnmatch.fnmatch(prefix, pattern) and
                          pattern.count("/") == prefix.count("/") for prefix in prefixes)
            out = not rule.startswith("!") if hit else out
    return out


def copy_faults(root, text):
    """What COPY and ADD would not find, or should not take."""
    rules = (root / ".dockerignore").read_text(encoding="utf-8")
    known, found = stages(text), []
    for position, (name, stage) in enumerate(known.items()):
        defaults = dict(arguments.split("=", 1) for word, arguments in stage.instructions
                        if word == "ARG" and "=" in arguments)
        for word, arguments in stage.instructions:
            if word == "ADD":
                found.append(f"{name}: ADD {arguments}: fetches or unpacks unasked; use COPY")
            if word != "COPY":
                continue
            flags = [part for part in arguments.split() if part.startswith("--")]
            sources = [part for part in arguments.split() if not part.startswith("--")][:-1]
            if flags:
                stage_name = flags[0].removeprefix("--from=")
                if stage_name not in list(known)[:position]:
                    found.append(f"{name}: COPY {flags[0]}: no earlier stage has this name")
                continue
            for source in sources:
                path = re.sub(r"\$\{(\w+)\}", lambda match: defaults.get(match[1], ""), source)
                path = path.rstrip("/")
                if not path or not (root / path).exists():
                    found.append(f"{name}: COPY {source}: there is no \"{path}\"")
                elif path != "." and ignored(rules, path):
                    found.append(f"{name}: COPY {source}: .dockerignore keeps it out")
    return found


def image_faults(text, targets, version):
    """What an image lacks: target, user, entry point, labels."""
    found = []
    for target, program in targets.items():
        taken, base = whole(text, target)
        if not taken:
            found.append(f"{target}: no such target")
            continue
        if base != "scratch":
            found.append(f"{target}: stands on {base}: whatever that holds is shipped")
        if program:
            if last(taken, "USER") != USER:
                found.append(f"{target}: runs as {last(taken, 'USER')}, not {USER}")
            wanted = json.dumps([PROGRAMS + program])
            if last(taken, "ENTRYPOINT") != wanted:
                found.append(f"{target}: entry point {last(taken, 'ENTRYPOINT')}, not {wanted}")
        labels = pairs(taken, "LABEL")
        found += [f"{target}: no label {label}" for label in LABELS
                  if f"org.opencontainers.image.{label}" not in labels]
        if labels.get("org.opencontainers.image.title") != f"orchard-{target}":
            found.append(f"{target}: its title is not orchard-{target}")
        versions = [arguments for word, arguments in taken
                    if word == "ARG" and arguments.startswith("VERSION=")]
        if versions != [f"VERSION={version}"]:
            found.append(f"{target}: {versions}, CMakeLists.txt says {version}")
    return found


def port_faults(text):
    """Ports that are shown but not listened to, or the other way round."""
    found = []
    for target in TARGETS:
        taken, _ = whole(text, target)
        listened = {value.rsplit(":", 1)[1] for name, value in pairs(taken, "ENV").items()
                    if name.endswith("LISTEN")}
        shown = set((last(taken, "EXPOSE") or "").split())
        if listened != shown:
            found.append(f"{target}: listens to {sorted(listened)}, exposes {sorted(shown)}")
    return found


@functools.lru_cache(maxsize=None)
def known_flags(program):
    """What a program's --help knows; None where it isn't built."""
    if not (BIN_DIR / program).is_file():
        return None
    run = subprocess.run([BIN_DIR / program, "--help"], capture_output=True, text=True, check=True,
                         timeout=60)
    return set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", run.stdout + run.stderr))


def flag_faults(name, program, wanted):
    """Flags that a program does not know."""
    return [f"{name}: {program} knows no {flag}" for flag in sorted(wanted - known_flags(program))]


def flags(text, target):
    """Flags that an image's variables and health check use."""
    taken, _ = whole(text, target)
    variables = [name for name in pairs(taken, "ENV") if name.startswith("ORCHARD_")]
    asked = re.findall(r'"(--[a-z-]+)"', last(taken, "HEALTHCHECK") or "")
    return {"--" + name.removeprefix("ORCHARD_").lower().replace("_", "-")
            for name in variables} | set(asked)


GOOD = f"""ARG BASE=debian:bookworm-slim
# FROM nothing AS comment
FROM ${{BASE}} AS build
COPY . .
FROM scratch AS runtime
COPY --from=build /images/ /
USER {USER}
FROM runtime AS client
ARG DATA=data
COPY ${{DATA}}/ /data/
ENV ORCHARD_LISTEN=0.0.0.0:1 \\
    ORCHARD_HTTP_LISTEN=0.0.0.0:2
EXPOSE 1 2
HEALTHCHECK --interval=1s \\
  CMD ["/opt/orchard/bin/orchard", "--probe", "127.0.0.1:1"]
ENTRYPOINT ["/opt/orchard/bin/orchard"]
ARG VERSION=1
LABEL {" ".join(f'org.opencontainers.image.{label}="x"' for label in LABELS[1:])} \\
  org.opencontainers.image.title="orchard-client"
"""


class CheckerTest(unittest.TestCase):

    def copies(self, text, ignore=""):
        with tree.planted({"data/x": "", ".dockerignore": ignore}) as root:
            return copy_faults(root, text)

    def test_accepts_what_is_right(self):
        self.assertEqual(self.copies(GOOD), [])
        self.assertEqual(image_faults(GOOD, {"client": "orchard"}, "1"), [])
        self.assertEqual(flags(GOOD, "client"), {"--listen", "--http-listen", "--probe"})
        self.assertEqual(whole(GOOD, "client")[1], "scratch")

    def test_finds_copies_of_nothing(self):
        for old, new, message in [
                ("DATA=data", "DATA=other", 'there is no "other"'),
                ("--from=build", "--from=biuld", "no earlier stage"),
                ("--from=build", "--from=client", "no earlier stage"),
                ("COPY . .", "ADD https://x.example/y /y", "ADD")]:
            with self.subTest(new):
                found = self.copies(GOOD.replace(old, new))
                self.assertEqual(len(found), 1, tree.report(found))
                self.assertIn(message, found[0])
        self.assertIn("keeps it out", self.copies(GOOD, "data\n")[0])

    def test_finds_images_that_are_not_as_promised(self):
        for old, new, message in [
                (f"USER {USER}", "USER root", "runs as root"),
                ("FROM scratch", "FROM ${BASE}", "stands on ${BASE}"),
                ('ENTRYPOINT ["', 'ENTRYPOINT ["/bin/sh", "', "entry point"),
                ("orchard-client", "orchard", "title"),
                ("VERSION=1", "VERSION=2", "CMakeLists.txt says 1"),
                ("image.source=", "image.sauce=", "no label source")]:
            with self.subTest(new):
                found = image_faults(GOOD.replace(old, new), {"client": "orchard"}, "1")
                self.assertEqual(len(found), 1, tree.report(found))
                self.assertIn(message, found[0])
        self.assertEqual(image_faults(GOOD, {"gone": None}, "1"), ["gone: no such target"])

    def test_finds_ports_that_nobody_listens_to(self):
        self.assertEqual(len(port_faults(GOOD)), 0)
        self.assertIn("client: listens", port_faults(GOOD.replace("EXPOSE 1 2", "EXPOSE 1 3"))[0])

    def test_rules_of_what_is_ignored(self):
        rules = "# all\n*\n!src\n!tools/x\n**/__pycache__\nsrc/big\n"
        for path, out in [("build/a", True), ("src/a/b.cc", False), ("src/a/__pycache__/b", True),
                          ("tools/x", False), ("tools/y", True), ("src/big/a", True), (".git", True)]:
            with self.subTest(path):
                self.assertEqual(ignored(rules, path), out)


class RootfsTest(unittest.TestCase):

    def test_reads_what_ldd_says(self):
        said = ("\tlinux-vdso.so.1 (0x00007ffc0b5d2000)\n"
                "\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f1)\n"
                "\t/lib64/ld-linux-x86-64.so.2 (0x00007f2)\n")
        self.assertEqual({str(path) for path in rootfs.loaded(said)},
                         {"/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"})

    def test_a_missing_library_is_named(self):
        with self.assertRaisesRegex(rootfs.RootfsError, r"libtorch\.so\.9"):
            rootfs.loaded("\tlibtorch.so.9 => not found\n\tlibc.so.6 => /lib/libc.so.6 (0x1)\n")

    def test_a_library_is_found_by_the_name_that_programs_ask_for(self):
        with tree.planted({"usr/lib/x/libblas.so.3.1": "blas", "root/x": ""}) as folder:
            folder = folder.resolve()
            lib = folder / "usr/lib"
            (lib / "libblas.so.3").symlink_to(lib / "x/libblas.so.3.1")
            rootfs.place(lib / "libblas.so.3", folder / "root")
            placed = folder / "root" / str(lib / "libblas.so.3").lstrip("/")
            self.assertTrue(placed.is_symlink())
            self.assertFalse(os.path.isabs(os.readlink(placed)), "it must lead somewhere elsewhere too")
            self.assertEqual(placed.read_text(), "blas")

    @unittest.skipUnless(os.path.exists("/var/lib/dpkg/status"), "this is not Debian")
    def test_a_library_of_no_package_is_refused(self):
        with tree.planted({"libown.so": ""}) as folder:
            with self.assertRaisesRegex(rootfs.RootfsError, r"libown\.so"):
                rootfs.owners({folder / "libown.so"})

    def test_a_newer_libtorch_is_of_no_package(self):
        self.assertEqual(rootfs.owners({rootfs.UNPACKED / "lib/libtorch.so"}), {})


class LibTorchTest(unittest.TestCase):
    """The archive of the CUDA variant, with one of our own."""

    def archive(self, folder, *names):
        path = pathlib.Path(folder, "torch.zip")
        with get_libtorch.zipfile.ZipFile(path, "w") as file:
            for name in names:
                file.writestr(name, "x")
        return path.as_uri(), get_libtorch.hashlib.sha256(path.read_bytes()).hexdigest()

    def test_unpacks_what_has_the_promised_digest(self):
        with tempfile.TemporaryDirectory() as folder:
            uri, digest = self.archive(folder, "libtorch/lib/libtorch.so")
            self.assertIsNone(get_libtorch.unpack(uri, digest.upper(), pathlib.Path(folder)))
            self.assertTrue(pathlib.Path(folder, "libtorch/lib/libtorch.so").is_file())

    def test_says_what_is_wrong_with_others(self):
        with tempfile.TemporaryDirectory() as folder:
            into = pathlib.Path(folder, "into")
            uri, digest = self.archive(folder, "other/lib/x")
            for archive, sha256, message in [(uri, "00", f"SHA-256 is {digest}"),
                                             (uri, "", "says nothing"),
                                             (uri, digest, "no folder libtorch/lib"),
                                             (uri + ".gone", digest, "gone"),
                                             ("torch.zip", digest, "torch.zip")]:
                with self.subTest(message):
                    self.assertIn(message, get_libtorch.unpack(archive, sha256, into))


class RepositoryTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.text = (tree.ROOT / "docker/Dockerfile").read_text(encoding="utf-8")
        cls.rules = (tree.ROOT / ".dockerignore").read_text(encoding="utf-8")
        cls.cmake = (tree.ROOT / "CMakeLists.txt").read_text(encoding="utf-8")

    def test_copies_take_what_is_there(self):
        found = copy_faults(tree.ROOT, self.text)
        self.assertFalse(found, tree.report(found))

    def test_images_are_as_promised(self):
        version = re.search(r"project\(orchard VERSION ([\d.]+)", self.cmake)[1]
        found = image_faults(self.text, TARGETS, version) + port_faults(self.text)
        self.assertFalse(found, tree.report(found))

    def test_every_image_gets_its_program(self):
        laid = rootfs.SERVED | {"client": rootfs.CLIENT, "model": None}
        self.assertEqual(laid, TARGETS)

    def test_variables_and_flags_are_the_programs(self):
        skipped, found = [], []
        for target, program in TARGETS.items():
            wanted = flags(self.text, target)
            if program and wanted and known_flags(program) is None:
                skipped.append(program)
            elif program and wanted:
                found += flag_faults(target, program, wanted)
        self.assertFalse(found, tree.report(found))
        if skipped:
            self.skipTest(f"not built in {BIN_DIR}: {', '.join(skipped)}")

    def test_a_build_sees_the_sources_and_nothing_that_was_built(self):
        folders = re.findall(r"^add_subdirectory\((\w+)\)", self.cmake, re.MULTILINE)
        for path in [*folders, "cmake", "dev", "CMakePresets.json", "LICENSE", "NOTICE",
                     "tools/packages.txt", "models/default/1/manifest.json"]:
            self.assertFalse(ignored(self.rules, path), f"{path} is needed")
        for path in ["build", "build/release/bin/orchard", ".git", "install", "docs", "tests",
                     "docker/__pycache__/x", "secret.pem"]:
            self.assertTrue(ignored(self.rules, path), f"{path} must stay outside")

    def test_packages_of_tests_stay_outside(self):
        listed = (tree.ROOT / "tools/packages.txt").read_text(encoding="utf-8")
        programs, tests = re.split(r"^# tests", listed, flags=re.MULTILINE)
        for package in ("g++", "cmake", "python3", "libtorch-dev"):
            self.assertRegex(programs, rf"(?m)^{re.escape(package)}$")
        for package in ("libgtest-dev", "shellcheck", "clang-tidy-19"):
            self.assertRegex(tests, rf"(?m)^{package}$")


if __name__ == "__main__":
    unittest.main()
