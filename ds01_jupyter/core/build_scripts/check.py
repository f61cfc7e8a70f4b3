"""Last step of a build: prove that the framework of the base image is what it was, and that what
came goes together. The resolve before a build says the same earlier; this also holds for what a
Dockerfile did on its own, and where nothing could be resolved.

/opt/ds01/packages.json then holds name and version of all that is installed.
"""
# mypy: ignore-errors

import json
import os
import subprocess
import sys

from distributions import installed, unmet

HERE = os.path.dirname(os.path.abspath(__file__))
COMPANIONS = ("torchvision", "torchaudio", "torchtext")
OPENCV = "opencv-"


def problems(before):
    """Sentences about what changed since freeze.py; none when all is well."""
    packages = installed()
    yield from framework_problems(before, packages)
    yield from half_of_torch(before, packages)
    yield from opencv_problems(before, packages)
    broken = unmet(packages)
    if broken is None:
        print("Whether the packages go together was not looked at: this Python has no packaging.")
    for sentence in sorted(set(broken or ()) - set(before["unmet"])):
        yield sentence


def half_of_torch(before, now):
    """A torch built for a certain CUDA does not go with a companion that was not."""
    build = before["versions"].get("torch", "").partition("+")[2]
    for name in COMPANIONS:
        if build and name in now and name not in before["versions"]:
            version = now[name][0]
            if not version.endswith("+" + build):
                text = "{} {} is built for another CUDA than torch {} of the base image"
                yield text.format(name, version, before["versions"]["torch"])


def opencv_problems(before, now):
    """All variants of opencv own the same files, and some need libraries of a screen."""
    variants = sorted(name for name in now if name.startswith(OPENCV + "python"))
    variants += sorted(name for name in now if name.startswith(OPENCV + "contrib"))
    new = [name for name in variants if before["packages"].get(name) != now[name][0]]
    if new and len(variants) > 1:
        yield "{} own the same files and break each other: keep one of them".format(
            " and ".join(variants)
        )
    elif new:
        why = import_problem("cv2")
        if why:
            yield "{} cannot be imported ({}): opencv-python-headless does without a screen".format(
                new[0], why
            )


def import_problem(module):
    """The last line of what a failing import says; None when it works."""
    command = [sys.executable, "-B", "-c", "import " + module]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if not done.returncode:
        return None
    text = done.stdout.decode(errors="replace").strip()
    return text.splitlines()[-1] if text else "no output"


def framework_problems(before, now):
    """What the base image had must be there, in its version, and be importable as before."""
    for name, version in sorted(before["versions"].items()):
        if name not in now:
            yield "{} {} of the base image is gone".format(name, version)
        elif now[name][0] != version:
            yield "{} was replaced: {} became {}".format(name, version, now[name][0])
    for module in before["imports"]:
        why = import_problem(module)
        if why:
            yield "{} can no longer be imported ({})".format(module, why)


def main():
    """Exit with 1 when the framework did not survive."""
    with open(os.path.join(HERE, "framework.json")) as file:
        before = json.load(file)
    found = list(problems(before))
    with open(os.path.join(HERE, "packages.json"), "w") as file:
        packages = {name: version for name, (version, _) in installed().items()}
        json.dump(packages, file, indent=1, sort_keys=True)
    for problem in found:
        print("ds01: " + problem)
    if found:
        return 1
    kept = ["{} {}".format(name, before["versions"][name]) for name in before["imports"]]
    print("The framework is as it was: " + (", ".join(kept) or "none in the base image"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
