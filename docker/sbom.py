"""The bill of materials of an image, as SPDX 2.3 JSON, from what dpkg knows of its packages.

Packages are those in /var/lib/dpkg/status.d of the image (docker/rootfs.py puts there whose libraries
it holds), and those whose headers were compiled into the program. Licences are not judged: a Debian
copyright file is prose, and the image carries it.
"""

import datetime
import json
import os
import pathlib
import re
import urllib.parse
import uuid

PROJECT = "https://orchard.dev/spdx"  # a name of documents, not an address
LEFT_OUT = ("Status", "Conffiles")  # what dpkg adds about the machine that it installed on


def fields(stanza):
    """{field: value} of control data; continued lines are joined by newlines."""
    found, name = {}, None
    for line in stanza.splitlines():
        if line[:1].isspace():
            found[name] += "\n" + line
        elif ":" in line:
            name, _, value = line.partition(":")
            found[name] = value.strip()
    return found


def control_data(stanza):
    """A package's own control data, out of what `dpkg-query --status` says."""
    kept = {name: value for name, value in fields(stanza).items() if name not in LEFT_OUT}
    return "".join(f"{name}: {value}\n" if value[:1] != "\n" else f"{name}:{value}\n"
                   for name, value in kept.items())


def source_of(package):
    """(name, version) of the source package that a binary one was built from."""
    source = re.fullmatch(r"(\S+)(?: \((\S+)\))?", package.get("Source", package["Package"]))
    version = source[2] or re.sub(r"\+b\d+$", "", package["Version"])
    return source[1], version


def purl(package, distro):
    """The package URL by which scanners look vulnerabilities up."""
    name = urllib.parse.quote(package["Package"], safe="")
    version = urllib.parse.quote(package["Version"], safe=":")
    return f"pkg:deb/debian/{name}@{version}?arch={package['Architecture']}&distro={distro}"


def spdx_id(name):
    """An identifier of SPDX: letters, digits, '.' and '-' only."""
    return "SPDXRef-" + re.sub(r"[^A-Za-z0-9.-]", lambda found: f"-x{ord(found[0]):x}-", name)


def element(name, version, purpose, **more):
    """A package of the document, with what the specification demands of each."""
    return {"name": name, "SPDXID": spdx_id(f"Package-{name}"), "versionInfo": version,
            "downloadLocation": "NOASSERTION", "filesAnalyzed": False,
            "licenseConcluded": "NOASSERTION", "licenseDeclared": "NOASSERTION",
            "copyrightText": "NOASSERTION", "primaryPackagePurpose": purpose, **more}


def debian_element(package, distro):
    source, version = source_of(package)
    return element(
        package["Package"], package["Version"], "LIBRARY",
        supplier="Organization: Debian",
        summary=package.get("Description", package["Package"]).splitlines()[0],
        sourceInfo=f"built from the Debian source package {source} {version}",
        licenseComments=f"/usr/share/doc/{package['Package']}/copyright in the image",
        externalRefs=[{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
                       "referenceLocator": purl(package, distro)}])


def document(image, version, created, distro, held, compiled, unpacked=None):
    """The document as an object.

    held      control data of the packages whose files are in the image
    compiled  of those whose headers are compiled into the program
    unpacked  the version of a LibTorch that is of no package, or None
    """
    whole = element(image, version, "CONTAINER", licenseDeclared="Apache-2.0",
                    licenseComments="of Orchard's own part; every package has its own terms")
    program = element("orchard", version, "APPLICATION", licenseDeclared="Apache-2.0")
    packages = {package["Package"]: debian_element(package, distro) for package in compiled + held}
    relations = [("SPDXRef-DOCUMENT", "DESCRIBES", whole["SPDXID"]),
                 (whole["SPDXID"], "CONTAINS", program["SPDXID"])]
    relations += [(whole["SPDXID"], "CONTAINS", packages[package["Package"]]["SPDXID"])
                  for package in held]
    relations += [(packages[package["Package"]]["SPDXID"], "BUILD_DEPENDENCY_OF", program["SPDXID"])
                  for package in compiled]
    elements = [whole, program, *(packages[name] for name in sorted(packages))]
    if unpacked:
        elements.append(element("libtorch", unpacked, "LIBRARY", supplier="NOASSERTION"))
        relations.append((whole["SPDXID"], "CONTAINS", elements[-1]["SPDXID"]))
    said = {"spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT",
            "name": f"{image}-{version}",
            "creationInfo": {"created": created, "creators": ["Tool: orchard-docker-sbom"]},
            "packages": elements,
            "relationships": [{"spdxElementId": one, "relationshipType": kind,
                               "relatedSpdxElement": other} for one, kind, other in relations]}
    # The same contents have the same name, and other contents another one.
    name = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(said, sort_keys=True))
    return said | {"documentNamespace": f"{PROJECT}/{image}-{version}-{name}"}


def instant(epoch):
    """Seconds since 1970 as SPDX writes them; now, where there are none."""
    seconds = int(epoch) if epoch else datetime.datetime.now(datetime.timezone.utc).timestamp()
    moment = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def render(image, status_folder, compiled, os_release, unpacked_version):
    """The document of an image as text. VERSION, REVISION and SOURCE_DATE_EPOCH come from the
    environment, as the Dockerfile's arguments do."""
    held = [fields(path.read_text(encoding="utf-8")) for path in sorted(status_folder.iterdir())
            if path.suffix != ".md5sums"]
    release = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', os_release.read_text(encoding="utf-8"),
                              re.MULTILINE))
    unpacked = unpacked_version.read_text().strip() if unpacked_version.exists() else None
    version = os.environ.get("VERSION", "unknown")
    revision = os.environ.get("REVISION")
    return json.dumps(document(
        image, f"{version}+{revision}" if revision else version,
        instant(os.environ.get("SOURCE_DATE_EPOCH")),
        f"{release['ID']}-{release.get('VERSION_ID', 'unknown')}", held,
        [fields(stanza) for stanza in compiled], unpacked), indent=1) + "\n"


if __name__ == "__main__":
    raise SystemExit(f"{pathlib.Path(__file__).name} is a part of docker/rootfs.py")
