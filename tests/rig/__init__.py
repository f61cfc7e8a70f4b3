"""The rig: real parts for the tests, started by the project's own files.

``python3 -m tests.rig up`` starts a private Docker engine with a recording GPU hook and stand-in
AIME base images, and builds a simulated NVIDIA driver library. The rig needs root on a Debian or
Ubuntu machine. It never touches a Docker engine that is already in use there.
"""
