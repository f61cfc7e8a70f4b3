"""Install the Debian packages of a list: `apt.py FILE`, one name a line.

Nothing that is there is removed for them, and nothing is installed that they only recommend.
"""
# mypy: ignore-errors

import os
import shutil
import subprocess
import sys

from mirrors import apt_options

LISTS = "/var/lib/apt/lists"
CACHES = ("/var/cache/apt/pkgcache.bin", "/var/cache/apt/srcpkgcache.bin")
"""These name the mirrors."""


def main(arguments):
    """Update, install, and drop what only apt needs."""
    with open(arguments[0]) as lines:
        names = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", "--no-remove"]
    with apt_options() as options:
        code = subprocess.call(["apt-get", "update", "-q"] + options, env=environment)
        if code == 0:
            code = subprocess.call(install + options + ["--"] + names, env=environment)
    subprocess.call(["apt-get", "clean"])
    for path in CACHES:
        if os.path.exists(path):
            os.unlink(path)
    for entry in os.listdir(LISTS):
        path = os.path.join(LISTS, entry)
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
