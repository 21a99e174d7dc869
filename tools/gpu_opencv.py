"""OpenCV for the GPU bundle: core, imgproc and imgcodecs of Debian's own source, with PNG, WebP and JPEG alone.

Debian's imgcodecs reads through GDAL, and brings 139 libraries, 222 MB. The libraries made here have
the names and the interface of Debian's, so that a program linked with those runs with these.
"""

import os
import pathlib
import shutil
import subprocess
import tempfile

MODULES = ("core", "imgproc", "imgcodecs")
NEEDED = ("dpkg-dev", "libwebp-dev", "libpng-dev", "libjpeg-dev")  # beside what builds Orchard
OFF = """1394 ADE ARITH_DEC ARITH_ENC EIGEN FFMPEG GDAL GDCM GPHOTO2 GSTREAMER GTK IMGCODEC_HDR IMGCODEC_PFM
IMGCODEC_PXM IMGCODEC_SUNRASTER IPP ITT JASPER LAPACK OPENCL OPENEXR OPENGL OPENJPEG PROTOBUF QT QUIRC TBB TIFF
V4L VA VTK""".split()


class BundleError(Exception):
    """What went wrong, in a sentence."""


def run(*command, **options):
    done = subprocess.run([str(part) for part in command], check=False, **options)
    if done.returncode != 0:
        raise BundleError(f"`{' '.join(str(part) for part in command[:4])} …` exited {done.returncode}")


def source_version():
    """Of Debian's source of the OpenCV that is installed."""
    asked = subprocess.run(["dpkg-query", "-W", "-f", "${source:Version}", "libopencv-imgcodecs-dev"],
                           capture_output=True, text=True, check=False)
    if asked.returncode != 0:
        raise BundleError("libopencv-imgcodecs-dev is not installed: ./dev deps")
    return asked.stdout.strip()


def source_lines():
    """Debian's archives that apt has packages from, as archives of sources."""
    asked = subprocess.run(["apt-get", "indextargets", "--format",
                            "$(ORIGIN) $(REPO_URI) $(CODENAME) $(COMPONENT)", "Created-By: Packages"],
                           capture_output=True, text=True, check=True)
    archives = sorted({tuple(line.split()[1:]) for line in asked.stdout.splitlines()
                       if line.startswith("Debian ")})
    if not archives:
        raise BundleError("apt has no archive of Debian's: is this Debian, and was apt-get update run?")
    return "".join(f"deb-src {' '.join(archive)}\n" for archive in archives)


def fetch(version, folder):
    """Unpacks the source into folder/source. apt's own settings stay as they are."""
    (folder / "lists/partial").mkdir(parents=True)
    (folder / "sources.list").write_text(source_lines())
    apt = ["apt-get", "-qq", "-o", f"Dir::Etc::SourceList={folder}/sources.list",
           "-o", "Dir::Etc::SourceParts=-", "-o", f"Dir::State::Lists={folder}/lists",
           "-o", f"Dir::Cache={folder}", "-o", "APT::Sandbox::User=root"]
    run(*apt, "update")
    run(*apt, "source", "--download-only", f"opencv={version}", cwd=folder)
    (described,) = folder.glob("*.dsc")
    run("dpkg-source", "--no-check", "-x", described, folder / "source", stdout=subprocess.DEVNULL)


def build(folder, lib):
    """Builds folder/source and puts the libraries into `lib`, which is there only when it is whole."""
    options = [f"-DWITH_{name}=OFF" for name in OFF]
    options += [f"-DBUILD_{name}=OFF" for name in ("TESTS", "PERF_TESTS", "EXAMPLES", "DOCS", "JAVA",
                                                   "opencv_apps", "opencv_python3")]
    if shutil.which("ccache"):
        options.append("-DCMAKE_CXX_COMPILER_LAUNCHER=ccache")
    run("cmake", "-S", folder / "source", "-B", folder / "build", "-G", "Ninja",
        "-DCMAKE_BUILD_TYPE=Release", f"-DBUILD_LIST={','.join(MODULES)}", "-DBUILD_SHARED_LIBS=ON",
        "-DCMAKE_SKIP_RPATH=ON", "-DWITH_PNG=ON", "-DWITH_JPEG=ON", "-DWITH_WEBP=ON",
        "-DCPU_BASELINE=SSE4_2", "-DCPU_DISPATCH=AVX2", *options, stdout=subprocess.DEVNULL)
    run("cmake", "--build", folder / "build")
    whole = folder / "lib"
    whole.mkdir()
    for module in MODULES:
        (library,) = [path for path in (folder / "build/lib").glob(f"libopencv_{module}.so.*.*.*")]
        shutil.copy(library, whole / soname(library))
    lib.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(whole, lib)


def packages():
    """Debian's packages of these libraries, whose copyright files stand for our build of them too."""
    asked = subprocess.run(["dpkg-query", "-W", "-f", "${db:Status-Status} ${Package}\n",
                            *(f"libopencv-{module}[0-9]*" for module in MODULES)],
                           capture_output=True, text=True, check=False)
    return sorted(line.split()[1] for line in asked.stdout.splitlines() if line.startswith("installed "))


def soname(library):
    read = subprocess.run(["objdump", "-p", str(library)], capture_output=True, text=True, check=True)
    return next(line.split()[1] for line in read.stdout.splitlines() if "SONAME" in line)


def libraries(cache):
    """The folder with the three libraries; the first time it builds them, some minutes of two cores."""
    version = source_version()
    lib = cache / f"opencv-{version}" / "lib"
    if lib.is_dir():
        return lib
    print(f"building OpenCV {version}, once", flush=True)
    run(pathlib.Path(__file__).with_name("install-packages"), *NEEDED)
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR") or "/var/tmp") as folder:
        folder = pathlib.Path(folder)
        fetch(version, folder)
        build(folder, lib)
    return lib
