"""The images of tools/images: a store of buildah's, the Debian that they begin with, their sizes.

buildah runs with chroot isolation, which needs no container runtime, and with overlay file systems where
the kernel has them. Elsewhere it holds every layer as a whole copy (vfs), which takes its time and space.
"""

import contextlib
import fcntl
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time

# What Debian's slim images leave out, whatever is installed later: all but the terms of packages. And
# dpkg need not wait for the disk: what is half made is thrown away.
SLIM = """path-exclude=/usr/share/doc/*
path-include=/usr/share/doc/*/copyright
path-exclude=/usr/share/info/*
path-exclude=/usr/share/locale/*
path-exclude=/usr/share/man/*
force-unsafe-io
"""
LINES_OF_A_FAILURE = 40
FREE_GB = {"overlay": 10, "vfs": 45}  # what a build takes for a while
PATIENCE_S = 20  # for a builder that is told to end


class ImagesError(Exception):
    """Something that makes images fail, in words for the person at the terminal."""


@contextlib.contextmanager
def locked(cache):
    """Holds the cache for this process; a second one is told."""
    with open(cache / "lock", "w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ImagesError(f"{cache} is in use by another ./dev images") from None
        yield


def revision(root):
    """(what is built, when it was committed): of a checkout; empty without git."""
    def git(*command):
        run = subprocess.run(["git", "-c", f"safe.directory={root}", *command], cwd=root,
                             capture_output=True, text=True, check=False)
        return run.stdout.strip() if run.returncode == 0 else ""

    if not shutil.which("git") or not git("rev-parse", "HEAD"):
        return "", ""
    changed = "-changed" if git("status", "--porcelain") else ""
    return git("rev-parse", "--short=12", "HEAD") + changed, git("log", "-1", "--format=%ct")


def driver_for(folder):
    """The storage driver: overlay where a mount below `folder` works, tried in a namespace of its own."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        for name in ("lower", "upper", "work", "merged"):
            os.mkdir(os.path.join(place, name))
        options = ",".join(f"{name}dir={place}/{name}" for name in ("lower", "upper", "work"))
        run = subprocess.run(["unshare", "--mount", "mount", "-t", "overlay", "overlay", "-o", options,
                              f"{place}/merged"], capture_output=True, check=False)
    return "overlay" if run.returncode == 0 else "vfs"


def end_group(process):
    """SIGTERM, then SIGKILL, to a process and all that it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE_S)


def compiled_files():
    """ccache's folder on this machine, or None."""
    if folder := os.environ.get("CCACHE_DIR"):
        return pathlib.Path(folder)
    usual = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache", "ccache")
    return usual if usual.is_dir() else None


def archives(suite):
    """[(address, release)] of Debian as this machine's apt has it, for another suite as well."""
    form = "$(REPO_URI) $(RELEASE) $(ORIGIN)"
    said = subprocess.run(["apt-get", "indextargets", "--format", form, "Created-By: Packages"],
                          capture_output=True, text=True, check=True).stdout
    release = pathlib.Path("/etc/os-release").read_text(encoding="utf-8")
    own = re.search(r"^VERSION_CODENAME=(\w+)", release, re.MULTILINE)[1]
    found = {}
    for line in said.splitlines():
        address, _, rest = line.partition(" ")
        name = rest.split(" ")[0]
        if re.fullmatch(rf"{own}(-updates|-security)?", name):
            found[re.sub(f"^{own}", suite, name)] = address
    if suite not in found:
        raise ImagesError(f"apt knows no archive of Debian {own}: run apt-get update")
    return sorted((address, name) for name, address in found.items())


class Store:
    """Images of one suite. Everything of it lies below the cache folder."""

    def __init__(self, cache, suite):
        self.suite = suite
        self.folder = cache / suite
        self.layout = self.folder / "layout"
        self.containers = []
        self.folder.mkdir(parents=True, exist_ok=True)
        self.driver = driver_for(self.folder)
        free, needed = shutil.disk_usage(self.folder).free / 1e9, FREE_GB[self.driver]
        if free < needed:
            raise ImagesError(f"{self.folder} has {free:.0f} GB free; a build with the storage driver "
                              f"{self.driver} takes up to {needed} GB for a while")
        shutil.rmtree(self.layout, ignore_errors=True)
        for name in ("tmp", "logs"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)

    # --- buildah ------------------------------------------------------------------------------------

    def buildah(self, *arguments, log=None):
        """What buildah says; a failure shows the end of it."""
        command = ["buildah", "--root", self.folder / self.driver, "--runroot", self.folder / "run",
                   "--storage-driver", self.driver, *arguments]
        environment = os.environ | {"BUILDAH_ISOLATION": "chroot", "TMPDIR": str(self.folder / "tmp")}
        with open(log or os.devnull, "w", encoding="utf-8") as file:
            # A group of its own, ended as a whole: it starts compilers, which would go on without it.
            process = subprocess.Popen(command, env=environment, text=True, process_group=0,
                                       stdout=file if log else subprocess.PIPE,
                                       stderr=subprocess.STDOUT if log else subprocess.PIPE)
            try:
                out, error = process.communicate()
            except BaseException:
                end_group(process)
                raise
        if process.returncode != 0:
            said = log.read_text(encoding="utf-8", errors="replace") if log else error
            end = "\n".join(said.splitlines()[-LINES_OF_A_FAILURE:])
            raise ImagesError(f"buildah {arguments[0]} failed:\n{end}")
        return "" if log else out.strip()

    def name(self, image):
        return f"localhost/{image}:{self.suite}"

    def has(self, image):
        return bool(self.buildah("images", "--quiet", "--filter", f"reference={self.name(image)}"))

    # --- making -------------------------------------------------------------------------------------

    def make_base(self):
        """Debian's smallest system, as its slim images have it; made once."""
        if self.has("debian"):
            return
        print(f"making Debian {self.suite}, once", flush=True)
        sources = archives(self.suite)
        mirror = next(address for address, name in sources if name == self.suite)
        with tempfile.TemporaryDirectory(dir=self.folder / "tmp") as folder:
            root = pathlib.Path(folder, "root")
            log = self.folder / "logs/debootstrap.log"
            with open(log, "w", encoding="utf-8") as file:
                # Namespaces of its own: nothing that it mounts or starts outlives it.
                run = subprocess.run(["unshare", "--mount", "--pid", "--fork", "--kill-child",
                                      "debootstrap", "--variant=minbase", self.suite, root, mirror],
                                     stdout=file, stderr=subprocess.STDOUT, check=False)
            if run.returncode != 0:
                raise ImagesError(f"debootstrap failed, see {log}")
            self.slim(root, sources)
            container = self.buildah("from", "scratch")
            self.containers.append(container)
            self.buildah("add", "--quiet", container, root, "/")
            self.buildah("commit", "--quiet", "--rm", container, self.name("debian"))
            self.containers.remove(container)

    @staticmethod
    def slim(root, sources):
        """What makes debootstrap's system a base of images: all archives, and no documents."""
        (root / "etc/apt/sources.list").write_text(
            "".join(f"deb {address} {name} main\n" for address, name in sources), encoding="utf-8")
        (root / "etc/dpkg/dpkg.cfg.d/slim").write_text(SLIM, encoding="utf-8")
        for folder in ("var/cache/apt/archives", "var/lib/apt/lists", "usr/share/info",
                       "usr/share/locale", "usr/share/man"):
            shutil.rmtree(root / folder, ignore_errors=True)
        (root / "var/cache/apt/archives/partial").mkdir(parents=True)
        (root / "var/lib/apt/lists/partial").mkdir(parents=True)
        for folder, _, names in os.walk(root / "usr/share/doc"):
            for name in names:
                if name != "copyright":
                    os.unlink(os.path.join(folder, name))

    def build(self, root, target):
        """One target of docker/Dockerfile; stages that others have made are not made again."""
        started = time.monotonic()
        print(f"building orchard-{target}", end="", flush=True)
        what, when = revision(root)
        arguments = {"BASE": self.name("debian"), "REVISION": what, "SOURCE_DATE_EPOCH": when}
        mounts = []
        if compiled := compiled_files():
            arguments["CCACHE_DIR"] = "/ccache"
            mounts = ["--volume", f"{compiled}:/ccache"]
        given = [part for name, value in arguments.items() for part in ("--build-arg", f"{name}={value}")]
        self.buildah("build", "--layers", "--pull-never", "--target", target, *given, *mounts,
                     "--tag", self.name(f"orchard-{target}"),
                     "--file", root / "docker/Dockerfile", root,
                     log=self.folder / f"logs/{target}.log")
        print(f"  {time.monotonic() - started:.0f} s", flush=True)

    # --- looking ------------------------------------------------------------------------------------

    def mounted(self, target):
        """(the root folder of an image, what its configuration says)."""
        container = self.buildah("from", "--pull-never", self.name(f"orchard-{target}"))
        self.containers.append(container)
        told = json.loads(self.buildah("inspect", "--type", "image", self.name(f"orchard-{target}")))
        return pathlib.Path(self.buildah("mount", container)), told["OCIv1"]["config"]

    def released(self):
        """Takes back what mounted() gave."""
        for container in self.containers:
            with contextlib.suppress(ImagesError):
                self.buildah("rm", container)
        self.containers = []

    def take_out(self, target, path, to):
        """Copies a file out of an image; nothing where the image has none."""
        root, _ = self.mounted(target)
        if (root / path).is_file():
            shutil.copyfile(root / path, to)
        self.released()

    def sizes(self, target):
        """(bytes on a disk, {digest: bytes} of what is sent, a layer each)."""
        root, _ = self.mounted(target)
        unpacked = sum(os.lstat(os.path.join(folder, name)).st_size
                       for folder, _, names in os.walk(root) for name in names)
        self.released()
        tag = f"orchard-{target}"
        self.buildah("push", "--quiet", self.name(tag), f"oci:{self.layout}:{tag}")
        index = json.loads((self.layout / "index.json").read_text(encoding="utf-8"))
        digest = next(entry["digest"] for entry in index["manifests"] if
                      entry["annotations"]["org.opencontainers.image.ref.name"] == tag)
        manifest = json.loads(self.blob(digest).read_text(encoding="utf-8"))
        return unpacked, {layer["digest"]: layer["size"] for layer in manifest["layers"]}

    def blob(self, digest):
        return self.layout / "blobs" / digest.replace(":", "/")

    def clean(self):
        """Leaves the images that have a name of ours, and nothing that a build needed on its way."""
        self.released()
        with contextlib.suppress(ImagesError):
            self.buildah("rm", "--all")
            self.buildah("rmi", "--prune")
        shutil.rmtree(self.folder / "tmp", ignore_errors=True)
