"""What an admin can set: the traits of `DS01App`, and the core's settings made of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from traitlets import Enum, Float, Int, List, Unicode, default
from traitlets.config import Configurable

if TYPE_CHECKING:
    from ds01_jupyter.core.settings import Settings

TEXTS = ("docker_host", "nvml_library", "architecture", "dockerfiles")
PATHS = ("ledger", "catalogue", "tiers", "limits")
ROOTS = ("workspace_roots", "data_roots", "model_roots")
LIFECYCLE = (
    "idle_gpu_percent",
    "idle_cpu_percent",
    "idle_network_rate",
    "keep_alive_hours",
    "stop_grace_seconds",
)

BUILDS = (
    "build_route",
    "buildx",
    "apt_mirror",
    "ca_bundle",
    "build_minutes",
    "image_gigabytes",
    "parallel_builds",
)


class Options(Configurable):
    """The options of `DS01App`; `jupyter server --help-all` tells them too."""

    docker_host = Unicode(
        "",
        help="URL of the Docker engine, such as unix:///run/docker.sock. Empty: as the docker "
        "command finds it (DOCKER_HOST, the current context, the default socket).",
    ).tag(config=True)
    nvml_library = Unicode(
        help="Path of the libnvidia-ml.so.1 to load. Empty: the driver's own. The default is "
        "taken from the environment variable DS01_NVML_LIBRARY.",
    ).tag(config=True)
    ledger = Unicode(
        "",
        help="File that remembers who has which slot. Empty: /var/lib/ds01/ledger.sqlite where "
        "that folder is writable (one ledger for the machine), else one of the user's own.",
    ).tag(config=True)
    catalogue = Unicode(
        "",
        help="AIME's list of images (ml_images.repo). Empty: /etc/ds01/ml_images.repo if it is "
        "there, else the list that comes with the package.",
    ).tag(config=True)
    tiers = Unicode(
        "",
        help="YAML file with the tiers of packages on offer. Empty: /etc/ds01/tiers.yaml if it "
        "is there, else the tiers that come with the package.",
    ).tag(config=True)
    limits = Unicode(
        "",
        help="YAML file with limits for groups and users. Empty: "
        "/etc/ds01/resource-limits.yaml if it is there, else the limits of the package.",
    ).tag(config=True)
    architecture = Unicode(
        "",
        help="Column of the catalogue that fits this machine, such as CUDA_ADA. Empty: the "
        "NVIDIA driver is asked.",
    ).tag(config=True)
    workspace_roots = List(
        Unicode(),
        allow_none=True,
        default_value=None,
        help="Folders under which a workspace may lie; ~ is the home of the person. None: that "
        "home only.",
    ).tag(config=True)
    data_roots = List(
        Unicode(),
        allow_none=True,
        default_value=None,
        help="Folders under which data may lie that a container mounts; [] allows none. None: "
        "/data, /datasets and the home of the person.",
    ).tag(config=True)
    model_roots = List(
        Unicode(),
        allow_none=True,
        default_value=None,
        help="Folders under which models may lie that a container mounts; [] allows none. None: "
        "/models and the home of the person.",
    ).tag(config=True)
    dockerfiles = Unicode(
        "",
        help="Folder for the Dockerfiles of images; ~ is the home of the person. Empty: "
        "~/dockerfiles.",
    ).tag(config=True)
    admins = List(
        Unicode(),
        allow_none=True,
        default_value=None,
        help="Accounts that may do what concerns everybody on this machine, such as change the "
        "MIG layout; root always may, and needs no entry. None: root only.",
    ).tag(config=True)
    ignored_xids = List(
        Int(),
        default_value=[13, 31, 43, 45, 68, 109],
        help="XID errors of the NVIDIA driver for which a GPU stays in use, because they are "
        "faults of a program. For every other one it is cordoned until it is well again.",
    ).tag(config=True)
    reconcile_seconds = Float(
        60.0,
        min=0.0,
        help="Seconds after which the ledger is brought in line with Docker, besides at the start "
        "and whenever Docker reports something. 0: only when somebody asks for something.",
    ).tag(config=True)
    idle_gpu_percent = Float(
        5.0,
        min=0.0,
        max=100.0,
        help="Utilisation of its GPU in per cent below which a container is idle. It counts where "
        "the NVIDIA driver tells it: not for MIG instances, where CPU and network decide.",
    ).tag(config=True)
    idle_cpu_percent = Float(
        5.0,
        min=0.0,
        help="CPU in per cent of one core below which a container is idle.",
    ).tag(config=True)
    idle_network_rate = Float(
        10_000.0,
        min=0.0,
        help="Network in bytes a second, in and out, below which a container is idle.",
    ).tag(config=True)
    keep_alive_hours = Float(
        24.0,
        min=0.0,
        help="For how many hours a person can put an idle stop off at a time.",
    ).tag(config=True)
    stop_grace_seconds = Float(
        10.0,
        min=0.0,
        max=300.0,
        help="Seconds that the processes of a container have to end in (SIGTERM) before they are "
        "killed, when it is stopped because of a time limit or a reservation.",
    ).tag(config=True)
    build_route = Enum(
        ["auto", "api", "buildx", "classic"],
        default_value="auto",
        help="How images are built. api: BuildKit over Docker's API, without any other program. "
        "buildx: BuildKit through Docker's plugin. classic: the old builder, with pip and without "
        "a look at the packages beforehand. auto: the first of these that works here.",
    ).tag(config=True)
    buildx = Unicode(
        "",
        help="Path of Docker's buildx plugin. Empty: it is looked for in the folders where "
        "Docker's packages put it.",
    ).tag(config=True)
    package_indexes = List(
        Unicode(),
        help="URLs of package indexes (PEP 503) for builds, such as "
        "https://pypi.lab.example/simple, in place of the public one; the first comes first. They "
        "are told to the steps that install and are not kept in images. A URL with a user or "
        "password is refused.",
    ).tag(config=True)
    apt_mirror = Unicode(
        "",
        help="URL of a mirror of Debian's or Ubuntu's packages for builds, in place of the hosts "
        "in the base image, such as http://mirror.lab.example/debian. Not kept in images. A URL "
        "with a user or password is refused.",
    ).tag(config=True)
    ca_bundle = Unicode(
        "",
        help="File with certificates (PEM) that the steps of a build trust besides those of the "
        "base image: for mirrors with a certificate of the lab's own. Not kept in images.",
    ).tag(config=True)
    allowed_images = List(
        Unicode(),
        help="Patterns of the images that Dockerfiles may build on or copy from, such as "
        "docker.io/nvidia/* or registry.lab.example/*; those of the catalogue always may. Empty: "
        "any image.",
    ).tag(config=True)
    build_minutes = Float(
        0.0,
        min=0.0,
        help="Minutes that making an image may take from its turn on, the pull of its base "
        "included; it is cancelled after that. 0: as long as it takes.",
    ).tag(config=True)
    image_gigabytes = Float(
        0.0,
        min=0.0,
        help="Gigabytes that an image may have in all, its base included, as `docker images` "
        "shows it; a larger one is not kept. 0: any size.",
    ).tag(config=True)
    parallel_builds = Int(
        2,
        min=1,
        help="How many images may be built at the same time on this machine, by all servers "
        "that share the ledger. Others wait, and people take turns.",
    ).tag(config=True)
    parallel_operations = Int(
        4,
        min=1,
        help="How many containers and the like may be made at the same time. Images are counted "
        "by parallel_builds.",
    ).tag(config=True)

    domains = List(
        Unicode(),
        help="Domains that names in the limits may carry for this machine's own accounts: with "
        "lab.example and LAB, both u.ser@lab.example and LAB\\u.ser mean u.ser.",
    ).tag(config=True)

    @default("nvml_library")
    def _default_nvml_library(self) -> str:
        return os.environ.get("DS01_NVML_LIBRARY", "")

    def core_settings(self) -> Settings:
        """The settings of the core; what is empty (or None) here has the core's default."""
        from ds01_jupyter.core.settings import Settings

        given: dict[str, Any] = {key: getattr(self, key) for key in TEXTS if getattr(self, key)}
        for key in PATHS:
            if getattr(self, key):
                given[key] = Path(getattr(self, key)).expanduser()
        for key in ROOTS:
            if getattr(self, key) is not None:
                given[key] = tuple(getattr(self, key))
        given["ignored_xids"] = tuple(self.ignored_xids)
        for key in ("reconcile_seconds", *LIFECYCLE, *BUILDS):
            given[key] = getattr(self, key)
        for key in ("package_indexes", "allowed_images"):
            given[key] = tuple(getattr(self, key))
        if self.admins is not None:
            given["admins"] = tuple(self.admins)
        return Settings(
            parallel_operations=self.parallel_operations, domains=tuple(self.domains), **given
        )
