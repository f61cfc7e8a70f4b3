"""What the guided mode says about each choice, to somebody who does this for the first time."""

IMAGE = (
    "An image is a box with everything that your code needs: Python, a framework such as PyTorch "
    "and your packages. You build it once and start any number of containers from it."
)
CONTAINER = (
    "A container is a running copy of an image, with a GPU slot and limits of its own. You can "
    "stop it and start it again; your files stay in the workspace folder."
)
IMAGE_NAME = (
    "Lowercase letters, digits, - and _. Your containers and the Dockerfile are named after it."
)
FRAMEWORK = (
    "The images come from AIME: tested, with a CUDA that fits the GPUs of this machine. If you "
    "are not sure, keep Pytorch in the version that is chosen."
)
VERSION = (
    "What is on this machine already starts at once, anything else is downloaded first. Take an "
    "older one only when your code, or a paper that you repeat, needs it."
)
ARCHITECTURE = (
    "The generation of CUDA that the image is built for. The lab's own choice fits its GPUs; "
    "change it only when an admin tells you to."
)
PROJECT = (
    "A Dockerfile is the recipe of the image. Leave this empty to keep it with your others in "
    "~/dockerfiles, or name a project folder to keep it with your code."
)
BASE = "What the framework has already is not installed again."
USE_CASES = "Sets for a field of work, on top of the base packages. Take none, one or several."
PIP = (
    "As in a requirements.txt, one to a line: einops, or scikit-image>=0.24 for a version. The "
    "framework's own packages (torch, ...) stay as they are."
)
APT = "Programs and libraries of the system, such as ffmpeg or graphviz. Most projects need none."
DOCKERFILE = (
    "This is the whole recipe, step by step. It is a plain text file: you can keep it with your "
    "code, and anybody can build the same image from it."
)
SOURCE = (
    "Usually one of your own images. A framework as it is suits a quick test; another image is "
    "anything that this machine has."
)
CONTAINER_NAME = "Letters, digits, - and _. It is what you type to open, stop and start it."
WORKSPACE = (
    "The folder for your code and results. It appears in the container as /workspace, and it "
    "stays when the container is removed."
)
FOLDERS = "Further folders of this machine that the container may read: data sets and models."
GPU = (
    "A slot is a whole GPU or a slice of one with memory of its own (MIG). Nobody else can use "
    "yours while you have it, so take the smallest that does. A share of a GPU is the exception: "
    "others use the same GPU, and its memory, at the same time."
)
WAITING = (
    "None of these is free now. Go on all the same: the last page says who has them and until "
    "when, and there you can wait in the queue."
)
LIMITS = "Everybody has limits, so that no container can take the machine from the others."
