"""Register the image's Python as a notebook kernel, when it can be one: `kernel.py FILE`."""
# mypy: ignore-errors

import importlib.util
import json
import os
import sys

FOLDER = "/usr/local/share/jupyter/kernels/ds01"


def main(arguments):
    """Write the kernel spec with the display name of the file."""
    if importlib.util.find_spec("ipykernel") is None:
        print("ipykernel is not installed, so this image is no notebook kernel.")
        return 0
    with open(arguments[0], encoding="utf-8") as file:
        display_name = json.load(file)["display_name"]
    spec = {
        "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": display_name,
        "language": "python",
        "metadata": {"debugger": True},
    }
    os.makedirs(FOLDER, exist_ok=True)
    with open(os.path.join(FOLDER, "kernel.json"), "w", encoding="utf-8") as file:
        json.dump(spec, file, indent=1)
    print("Notebook kernel: " + display_name)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
