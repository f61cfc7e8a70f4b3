"""Install requirement files: `install.py [--wheels-only] FILE...`.

All files are resolved together, so that a later tier cannot break an earlier one; what is
installed and fits already stays. The exact versions stand in FILE's lock beside it (`tier-x.lock`
for `tier-x.txt`), as they were resolved before the build. uv does it where the build lends it and
the Python is new enough, else pip. constraints.txt keeps the framework as it is.
"""
# mypy: ignore-errors

import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from py_compile import compile as compile_file

from distributions import installed
from mirrors import environment as surroundings

HERE = os.path.dirname(os.path.abspath(__file__))
UV = os.path.join(HERE, "bin", "uv")
UV_CACHE = "/root/.cache/uv"
UV_NEEDS = (3, 8)


def uv_runs():
    """Whether uv was lent to this step and can run in this image."""
    if sys.version_info < UV_NEEDS or not os.path.exists(UV):
        return False
    try:
        return subprocess.call([UV, "--version"], stdout=subprocess.DEVNULL) == 0
    except OSError:
        return False


def uv_command():
    """uv for the Python that runs this, whose packages belong to the image as a whole."""
    command = [UV, "pip", "install", "--python", sys.executable, "--break-system-packages"]
    if os.path.ismount(UV_CACHE):
        return command + ["--cache-dir", UV_CACHE]
    return command + ["--no-cache"]


def pip_command():
    """pip likewise, without leaving its cache in the image."""
    command = [sys.executable, "-m", "pip", "install", "--no-cache-dir", "--no-compile"]
    return command + ["--disable-pip-version-check", "--no-input"]


def new_sources(before):
    """The Python files of distributions that were not there before."""
    for name, (version, folder) in installed().items():
        if before.get(name) == (version, folder):
            continue
        try:
            with open(os.path.join(folder, "RECORD"), encoding="utf-8") as record:
                paths = [line.split(",")[0].strip('"') for line in record]
        except OSError:
            continue
        for path in paths:
            if path.endswith(".py"):
                yield os.path.join(os.path.dirname(folder), path)


def compile_quietly(path):
    """Compile one file; some packages ship files that are no valid Python on purpose."""
    try:
        compile_file(path, doraise=False, quiet=2)
    except (OSError, ValueError):
        return


def main(arguments):
    """Run the installer, then compile once here: people cannot write into the image later."""
    options = ["--only-binary", ":all:"] if "--wheels-only" in arguments else []
    # Named here too: with a -c of its own, uv does not look at UV_CONSTRAINT.
    constraints = [os.path.join(HERE, "constraints.txt")]
    for path in arguments:
        if not path.startswith("--"):
            options += ["-r", path]
            constraints.append(os.path.splitext(path)[0] + ".lock")
    for path in constraints:
        if os.path.exists(path):
            options += ["-c", path]
    before = installed()
    command = uv_command() if uv_runs() else pip_command()
    environment = dict(os.environ, UV_LINK_MODE="copy", UV_NO_PROGRESS="1")
    environment.update(PIP_BREAK_SYSTEM_PACKAGES="1", PIP_ROOT_USER_ACTION="ignore")
    with surroundings() as extra:
        environment.update(extra)
        code = subprocess.call(command + options, env=environment)
    if code == 0:
        with ProcessPoolExecutor() as pool:
            list(pool.map(compile_quietly, new_sources(before), chunksize=50))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
