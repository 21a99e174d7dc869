"""Debian's python3-yaml, whichever Python runs us: `from debian_yaml import yaml`."""

import sys

sys.path.append("/usr/lib/python3/dist-packages")
import yaml  # noqa: E402, F401  (its folder is on the path only now)
