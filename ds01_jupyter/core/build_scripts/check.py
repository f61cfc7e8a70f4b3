"""Last step of a build: prove that the framework of the base image is what it was."""
# mypy: ignore-errors

import json
import os
import subprocess
import sys

from distributions import installed

HERE = os.path.dirname(os.path.abspath(__file__))


def problems(before):
    """Sentences about what changed since freeze.py; none when all is well."""
    now = installed()
    for name, version in sorted(before["versions"].items()):
        if name not in now:
            yield "{} {} of the base image is gone".format(name, version)
        elif now[name][0] != version:
            yield "{} was replaced: {} became {}".format(name, version, now[name][0])
    for module in before["imports"]:
        command = [sys.executable, "-B", "-c", "import " + module]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode:
            text = done.stdout.decode(errors="replace").strip()
            last = text.splitlines()[-1] if text else "no output"
            yield "{} can no longer be imported ({})".format(module, last)


def main():
    """Exit with 1 when the framework did not survive."""
    with open(os.path.join(HERE, "framework.json")) as file:
        before = json.load(file)
    found = list(problems(before))
    for problem in found:
        print("ds01: " + problem)
    if found:
        return 1
    kept = ["{} {}".format(name, before["versions"][name]) for name in before["imports"]]
    print("The framework is as it was: " + (", ".join(kept) or "none in the base image"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
