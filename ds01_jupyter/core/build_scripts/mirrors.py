"""Where the steps of a build get packages from, as the admin of the lab has it.

site.json lies beside this file for a step only: `indexes` (URLs), `apt` (URL), `ca` (PEM text); an
empty or absent one changes nothing. What is written for pip, uv and apt goes with the step.
"""
# mypy: ignore-errors

import glob
import json
import os
import re
import shutil
import tempfile
from contextlib import contextmanager

HERE = os.path.dirname(os.path.abspath(__file__))
SITE = os.path.join(HERE, "site.json")
SYSTEM_CA = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
APT = "/etc/apt"
ARCHIVE = re.compile(r"https?://[^/\s]+/(debian|debian-security|ubuntu|ubuntu-ports)(?=[/\s]|$)")


def site():
    """The content of site.json."""
    try:
        with open(SITE, encoding="utf-8") as file:
            return json.loads(file.read() or "{}")
    except FileNotFoundError:
        return {}


def written(folder, name, text):
    """A file; returns its path."""
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def bundle(folder, ca):
    """The certificates of the system and those of the lab, in one file."""
    known = os.environ.get("SSL_CERT_FILE", "")
    for path in (known,) + SYSTEM_CA:
        if path and os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                ca = file.read().rstrip() + "\n" + ca
            break
    return written(folder, "ca.crt", ca)


PATIENCE = {"UV_HTTP_RETRIES": "5", "PIP_RETRIES": "8"}
"""A connection that stalls once is no reason to give a build up: more attempts than by default."""


def hosts_without_tls(indexes):
    """Hosts that the admin reaches over plain http, which pip wants to be told."""
    found = [re.match(r"http://([^/]+)", url) for url in indexes]
    return " ".join(match.group(1) for match in found if match)


@contextmanager
def environment():
    """The variables for uv and pip, as a context: its files go when it ends."""
    wanted = site()
    folder = tempfile.mkdtemp()
    try:
        extra = dict(PATIENCE)
        indexes = wanted.get("indexes") or []
        if indexes:
            extra["UV_INDEX"] = " ".join(indexes[:-1])
            extra["UV_DEFAULT_INDEX"] = indexes[-1]
            extra["PIP_INDEX_URL"] = indexes[0]
            extra["PIP_EXTRA_INDEX_URL"] = " ".join(indexes[1:])
            extra["PIP_TRUSTED_HOST"] = hosts_without_tls(indexes)
        if wanted.get("ca"):
            path = bundle(folder, wanted["ca"])
            # The second overrides the third, where only one is set.
            for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT"):
                extra[name] = path
        yield extra
    finally:
        shutil.rmtree(folder)


@contextmanager
def apt_options():
    """Options for apt-get, likewise."""
    wanted = site()
    folder = tempfile.mkdtemp()
    os.chmod(folder, 0o755)  # apt fetches as a user of its own
    try:
        options = ["-o", "Acquire::Retries=3"]
        if wanted.get("apt"):
            options += redirected(folder, wanted["apt"].rstrip("/"))
        if wanted.get("ca"):
            options += ["-o", "Acquire::https::CaInfo=" + bundle(folder, wanted["ca"])]
        yield options
    finally:
        shutil.rmtree(folder)


def redirected(folder, mirror):
    """The sources of the system with the mirror in place of its archives; others stay."""
    above, _, own = mirror.rpartition("/")

    def replaced(match):
        same = match.group(1) == own or own not in ("debian", "debian-security")
        return mirror if same else above + "/" + match.group(1)

    parts = os.path.join(folder, "parts")
    os.mkdir(parts)
    paths = [os.path.join(APT, "sources.list")]
    for kind in ("list", "sources"):
        paths += glob.glob(os.path.join(APT, "sources.list.d", "*." + kind))
    for path in paths:
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                text = ARCHIVE.sub(replaced, file.read())
            written(parts, os.path.basename(path), text)
    return ["-o", "Dir::Etc::SourceList=/dev/null", "-o", "Dir::Etc::SourceParts=" + parts]
