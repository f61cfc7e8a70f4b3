"""The rig: real parts for the tests, started by the project's own files.

    python3 -m tests.rig up [--install] [--preset lab]   # prints what to export; again: a no-op
    eval "$(python3 -m tests.rig env)"
    python3 -m tests.rig down [--purge]

- a private Docker engine with its own data, containerd, bridge and firewall chains (`dockerd`,
  `network`, `firewall`), on whose PATH is a recording GPU hook (`hook`);
- stand-ins for AIME's base images (`base_image`, `wheels`);
- a simulated NVIDIA driver under the real pynvml (`nvml`);
- a real registry (`registry`), and a slow line to it (`slow_line`);
- pytest fixtures for all of these (`fixtures`).

Everything lies in `.rig/` of the repository, or in `$DS01_RIG_DIR`. It needs root on a Debian or
Ubuntu machine, and never touches a Docker engine that is already in use there.
"""
