"""First step of a build: write down the framework of the base image, which must stay as it is.

/opt/ds01/constraints.txt holds its exact versions for pip and uv, /opt/ds01/framework.json what
the last step compares with.
"""
# mypy: ignore-errors

import json
import os
import re
import subprocess
import sys

from distributions import FAMILIES, installed, unmet

HERE = os.path.dirname(os.path.abspath(__file__))
IMPORTS = ("torch", "torchvision", "torchaudio", "tensorflow", "jax", "mxnet")
VERSION = re.compile(r"[0-9][A-Za-z0-9.!_-]*(\+[A-Za-z0-9._-]+)?$")


def imports(module):
    """Whether a module can be imported, in a process of its own."""
    command = [sys.executable, "-B", "-c", "import " + module]
    devnull = subprocess.DEVNULL
    return subprocess.call(command, stdout=devnull, stderr=devnull, stdin=devnull) == 0


def main():
    """Write both files."""
    packages = installed()
    frozen = {n: v for n, (v, _) in sorted(packages.items()) if FAMILIES.fullmatch(n)}
    lines = ["# Versions of the framework in the base image: later installs keep to them."]
    lines += [n + "==" + v for n, v in frozen.items() if VERSION.match(v)]
    # What was compiled against one major version of numpy does not load with the next.
    major = packages.get("numpy", ("", ""))[0].split(".")[0]
    if major.isdigit():
        lines.append("numpy<" + str(int(major) + 1))
    with open(os.path.join(HERE, "constraints.txt"), "w") as file:
        file.write("\n".join(lines) + "\n")
    loadable = [module for module in IMPORTS if module in frozen and imports(module)]
    before = {"versions": frozen, "imports": loadable}
    before["packages"] = {name: version for name, (version, _) in packages.items()}
    before["unmet"] = sorted(unmet(packages) or ())
    with open(os.path.join(HERE, "framework.json"), "w") as file:
        json.dump(before, file, indent=1, sort_keys=True)
    print("Framework of the base image: " + (", ".join(lines[1:]) or "none"))


if __name__ == "__main__":
    main()
