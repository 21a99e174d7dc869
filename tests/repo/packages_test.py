"""tools/install-packages: what is missing is installed, and no service is started for it."""

import os
import subprocess
import unittest

import tree

SCRIPT = tree.ROOT / "tools/install-packages"
POLICY = "/usr/sbin/policy-rc.d"

# `sh` is installed and nothing else; apt-get shows what it is asked, and what it would be told about
# starting a service.
STUBS = {
    "dpkg-query": '#!/bin/sh\nfor last; do :; done\n[ "$last" = sh ] && echo installed\nexit 0\n',
    "id": "#!/bin/sh\necho 0\n",
    "systemctl": "#!/bin/sh\n",  # Whatever runs this test, its services stay.
    "apt-get": '#!/bin/sh\n[ "$1" = install ] || exit 0\necho "$@"\n'
               '"$POLICY"; echo "policy $?"\nexit "${FAIL:-0}"\n',
}


class PackagesTest(unittest.TestCase):

    def run_it(self, *arguments, policy=None, fail="0"):
        """(exit code, lines, whether a policy is left); `policy`: a script that is there before."""
        text = SCRIPT.read_text(encoding="utf-8")
        self.assertIn(f"policy={POLICY}\n", text)
        files = {f"bin/{name}": stub for name, stub in STUBS.items()}
        files |= {"tools/packages.txt": "# of tests\nsh\n\nprometheus\n", "tools/install-packages": ""}
        with tree.planted(files) as root:
            (root / "tools/install-packages").write_text(text.replace(POLICY, f"{root}/policy"))
            for path in [*(root / "bin").iterdir(), root / "tools/install-packages"]:
                path.chmod(0o755)
            if policy:
                (root / "policy").write_text(policy)
                (root / "policy").chmod(0o755)
            run = subprocess.run(
                [root / "tools/install-packages", *arguments], capture_output=True, text=True,
                check=False, env=os.environ | {"PATH": f"{root}/bin:{os.environ['PATH']}",
                                               "POLICY": f"{root}/policy", "FAIL": fail})
            return run.returncode, run.stdout.splitlines(), (root / "policy").exists()

    def test_what_is_missing_is_installed_and_may_start_nothing(self):
        code, out, left = self.run_it()
        self.assertEqual((code, left), (0, False))
        self.assertTrue(out[0].endswith(" prometheus"), out)
        self.assertEqual(out[1], "policy 101")  # invoke-rc.d(8): the action is forbidden

    def test_packages_may_be_named(self):
        self.assertEqual(self.run_it("sh"), (0, [], False))
        _, out, _ = self.run_it("gnuplot-nox", "sh")
        self.assertTrue(out[0].endswith(" gnuplot-nox"), out)

    def test_a_policy_that_was_there_stays(self):
        code, out, left = self.run_it(policy="#!/bin/sh\nexit 7\n")
        self.assertEqual((code, out[1], left), (0, "policy 7", True))

    def test_a_failure_leaves_nothing_behind(self):
        code, _, left = self.run_it(fail="100")
        self.assertEqual((code, left), (100, False))


if __name__ == "__main__":
    unittest.main()
