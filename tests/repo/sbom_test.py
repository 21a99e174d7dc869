"""The SBOM that docker/sbom.py writes is one: held to what SPDX 2.3 demands of a document.

The documents of the last `./dev images` (build/images/) are held to it as well, where they are.
"""

import json
import pathlib
import re
import sys
import unittest

import tree

sys.path.insert(0, str(tree.ROOT / "docker"))
import sbom  # noqa: E402

ID = re.compile(r"SPDXRef-[A-Za-z0-9.-]+")
ABSENT = ("NOASSERTION", "NONE")
PURPOSES = {"APPLICATION", "FRAMEWORK", "LIBRARY", "CONTAINER", "OPERATING-SYSTEM", "DEVICE",
            "FIRMWARE", "SOURCE", "ARCHIVE", "FILE", "INSTALL", "OTHER"}
CATEGORIES = {"SECURITY", "PACKAGE-MANAGER", "PERSISTENT-ID", "OTHER"}
RELATIONS = {"DESCRIBES", "CONTAINS", "BUILD_DEPENDENCY_OF"}  # of those that there are, what we use
DOCUMENT = {"spdxVersion", "dataLicense", "SPDXID", "name", "documentNamespace", "creationInfo",
            "packages", "relationships"}
PACKAGE = {"name", "SPDXID", "versionInfo", "downloadLocation", "filesAnalyzed", "licenseConcluded",
           "licenseDeclared", "copyrightText", "primaryPackagePurpose", "supplier", "summary",
           "sourceInfo", "licenseComments", "externalRefs"}
REQUIRED = ("name", "SPDXID", "downloadLocation")


def package_faults(package):
    name = package.get("name", "?")
    found = [f"{name}: {key} is missing" for key in REQUIRED if not package.get(key)]
    found += [f"{name}: {key} is no field of a package" for key in package.keys() - PACKAGE]
    if not ID.fullmatch(package.get("SPDXID", "")):
        found.append(f"{name}: {package.get('SPDXID')} is no identifier")
    if package.get("filesAnalyzed") is not False:
        found.append(f"{name}: filesAnalyzed would need a verification code")
    for key in ("licenseConcluded", "licenseDeclared"):
        if package.get(key) not in (*ABSENT, "Apache-2.0"):
            found.append(f"{name}: {key} {package.get(key)} is none that we use")
    if package.get("primaryPackagePurpose") not in PURPOSES:
        found.append(f"{name}: purpose {package.get('primaryPackagePurpose')}")
    supplier = package.get("supplier", "NOASSERTION")
    if supplier != "NOASSERTION" and not re.match(r"(Person|Organization): \S", supplier):
        found.append(f"{name}: supplier {supplier}")
    for reference in package.get("externalRefs", []):
        locator = reference.get("referenceLocator", "")
        if reference.get("referenceCategory") not in CATEGORIES or not reference.get("referenceType"):
            found.append(f"{name}: reference {reference}")
        if not re.fullmatch(r"pkg:deb/debian/[a-z0-9.%B-]+@[A-Za-z0-9.:~%-]+\?arch=\w+&distro=debian-\w+",
                            locator):
            found.append(f"{name}: {locator} is no package URL of Debian")
    return found


def relation_faults(document):
    known = {package["SPDXID"] for package in document["packages"]} | {document["SPDXID"]}
    found, described = [], set()
    for relation in document["relationships"]:
        one, kind = relation.get("spdxElementId"), relation.get("relationshipType")
        other = relation.get("relatedSpdxElement")
        found += [f"relation with {end}, which is nowhere" for end in (one, other) if end not in known]
        if kind not in RELATIONS:
            found.append(f"relation {kind}")
        if (one, kind) == (document["SPDXID"], "DESCRIBES"):
            described.add(other)
    if not described:
        found.append("it describes nothing")
    related = {end for relation in document["relationships"]
               for end in (relation.get("spdxElementId"), relation.get("relatedSpdxElement"))}
    return found + [f"{lost} is related to nothing" for lost in sorted(known - related)]


def faults(document):
    """What SPDX 2.3 demands and the document lacks."""
    found = [f"{key} is missing" for key in sorted(DOCUMENT - document.keys())]
    if found:
        return found
    found += [f"{key} is no field of a document" for key in document.keys() - DOCUMENT]
    for key, wanted in (("spdxVersion", "SPDX-2.3"), ("dataLicense", "CC0-1.0"),
                        ("SPDXID", "SPDXRef-DOCUMENT")):
        if document[key] != wanted:
            found.append(f"{key} is {document[key]}, not {wanted}")
    if not re.fullmatch(r"[a-z]+://[^\s#]+", document["documentNamespace"]):
        found.append(f"documentNamespace {document['documentNamespace']}: an absolute URI without #")
    info = document["creationInfo"]
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", info.get("created", "")):
        found.append(f"created {info.get('created')}")
    if not info.get("creators") or not all(re.match(r"(Tool|Person|Organization): \S", creator)
                                           for creator in info["creators"]):
        found.append(f"creators {info.get('creators')}")
    ids = [package.get("SPDXID") for package in document["packages"]]
    found += [f"{one} is there twice" for one in sorted({one for one in ids if ids.count(one) > 1})]
    for package in document["packages"]:
        found += package_faults(package)
    return found + relation_faults(document)


STANZA = """Package: libstdc++6
Status: install ok installed
Priority: optional
Installed-Size: 2753
Maintainer: Debian GCC Maintainers <debian-gcc@lists.debian.org>
Architecture: amd64
Multi-Arch: same
Source: gcc-12
Version: 12.2.0-14+deb12u1
Conffiles:
 /etc/x 0123456789abcdef
Description: GNU Standard C++ Library v3
 This package contains an additional runtime library.
 .
 More of it.
Homepage: http://gcc.gnu.org/
"""
ZLIB = "Package: zlib1g\nVersion: 1:1.2.13.dfsg-1+b2\nSource: zlib (1:1.2.13.dfsg-1)\nArchitecture: amd64\n"
PLAIN = "Package: nlohmann-json3-dev\nVersion: 3.11.2-2+b1\nArchitecture: all\nDescription: JSON\n"


def made(**changes):
    return sbom.document("orchard-router", "0.1.0", "2026-01-02T03:04:05Z", "debian-12",
                         [sbom.fields(STANZA), sbom.fields(ZLIB)], [sbom.fields(PLAIN)], **changes)


def named(document, name):
    return next(package for package in document["packages"] if package["name"] == name)


class SbomTest(unittest.TestCase):

    def test_what_is_written_is_spdx(self):
        for document in (made(), made(unpacked="2.6.0+cu124")):
            self.assertEqual(faults(document), [])

    def test_packages_are_found_by_scanners(self):
        document = made()
        self.assertEqual(named(document, "libstdc++6")["externalRefs"][0]["referenceLocator"],
                         "pkg:deb/debian/libstdc%2B%2B6@12.2.0-14%2Bdeb12u1?arch=amd64&distro=debian-12")
        self.assertEqual(named(document, "zlib1g")["externalRefs"][0]["referenceLocator"],
                         "pkg:deb/debian/zlib1g@1:1.2.13.dfsg-1%2Bb2?arch=amd64&distro=debian-12")

    def test_source_packages_are_named(self):
        for stanza, source in [(STANZA, ("gcc-12", "12.2.0-14+deb12u1")),
                               (ZLIB, ("zlib", "1:1.2.13.dfsg-1")),
                               (PLAIN, ("nlohmann-json3-dev", "3.11.2-2"))]:
            with self.subTest(source):
                self.assertEqual(sbom.source_of(sbom.fields(stanza)), source)

    def test_headers_are_no_part_of_the_image_but_of_the_program(self):
        document = made()
        header = named(document, "nlohmann-json3-dev")["SPDXID"]
        kinds = [relation["relationshipType"] for relation in document["relationships"]
                 if header in relation.values()]
        self.assertEqual(kinds, ["BUILD_DEPENDENCY_OF"])

    def test_the_same_contents_have_the_same_name(self):
        self.assertEqual(made()["documentNamespace"], made()["documentNamespace"])
        self.assertNotEqual(made()["documentNamespace"], made(unpacked="2")["documentNamespace"])

    def test_control_data_is_the_packages_alone(self):
        said = sbom.control_data(STANZA)
        self.assertNotIn("Status:", said)
        self.assertNotIn("/etc/x", said)
        self.assertIn("Description: GNU Standard C++ Library v3\n This package", said)
        self.assertEqual(sbom.fields(said)["Version"], "12.2.0-14+deb12u1")

    def test_what_an_image_holds_is_read_from_it(self):
        with tree.planted({"status.d/libstdc++6": STANZA, "status.d/libstdc++6.md5sums": "0  usr/lib/x\n",
                           "os-release": 'NAME="Debian"\nID=debian\nVERSION_ID="13"\n'}) as root:
            document = json.loads(sbom.render("orchard-client", root / "status.d", [PLAIN],
                                              root / "os-release", root / "none"))
        self.assertEqual(faults(document), [])
        self.assertIn("distro=debian-13", json.dumps(document))


class CheckerTest(unittest.TestCase):

    def test_finds_what_the_specification_forbids(self):
        def change(document, **changes):
            return document | changes

        document = made()
        first = document["packages"][2]
        for broken, message in [
                (change(document, spdxVersion="SPDX-2.2"), "spdxVersion"),
                (change(document, documentNamespace="https://x/#1"), "without #"),
                (change(document, creationInfo={"created": "today", "creators": ["me"]}), "created"),
                (change(document, packages=document["packages"] + [first]), "twice"),
                (change(document, packages=[first | {"SPDXID": "SPDXRef-a+b"}]), "no identifier"),
                (change(document, packages=[first | {"colour": "red"}]), "no field of a package"),
                (change(document, relationships=document["relationships"][1:]), "describes nothing"),
                (change(document, relationships=document["relationships"][:-1]), "related to nothing"),
                ({key: value for key, value in document.items() if key != "name"}, "name is missing")]:
            with self.subTest(message):
                self.assertTrue(any(message in fault for fault in faults(broken)), faults(broken))


class BuiltTest(unittest.TestCase):

    def test_documents_of_the_last_images_are_spdx(self):
        documents = sorted(pathlib.Path(tree.ROOT, "build/images").glob("*.spdx.json"))
        if not documents:
            self.skipTest("no images were built here: ./dev images")
        for path in documents:
            with self.subTest(path.name):
                found = faults(json.loads(path.read_text(encoding="utf-8")))
                self.assertFalse(found, tree.report(found))


if __name__ == "__main__":
    unittest.main()
