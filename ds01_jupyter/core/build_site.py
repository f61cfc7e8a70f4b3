"""What the steps of a build are told of the lab's mirrors and certificates: one file, which is
mounted for a step and is no part of the image."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlsplit

from ds01_jupyter.core.errors import ConfigurationError
from ds01_jupyter.core.settings import Settings

SITE_FILE = "site.json"
NO_SITE = "{}\n"
MAX_CA = 2 * 1024**2


def site_text(settings: Settings) -> str:
    """The file's text. Raises `ConfigurationError`, and never repeats a password: for a URL that
    carries one (it would be for everybody to read), or a file of certificates that is none."""
    site: dict[str, object] = {}
    if settings.package_indexes:
        checked = [_url(url, "package_indexes") for url in settings.package_indexes]
        site["indexes"] = checked
    if settings.apt_mirror:
        site["apt"] = _url(settings.apt_mirror, "apt_mirror")
    if settings.ca_bundle:
        site["ca"] = _certificates(Path(settings.ca_bundle).expanduser())
    return json.dumps(site, sort_keys=True) + "\n"


def _url(text: str, setting: str) -> str:
    try:
        parts = urlsplit(text)
        host, secret = parts.hostname, parts.username is not None or parts.password is not None
    except ValueError:
        host, secret, parts = None, False, urlsplit("")
    if secret or "@" in parts.netloc:
        raise ConfigurationError(
            f"A URL in DS01App.{setting} carries a user or a password, which every build could "
            "read.",
            hint="Name a mirror that this machine may use without; let its address decide.",
            setting=setting,
            host=host,
        )
    odd = any(character.isspace() or not character.isprintable() for character in text)
    if parts.scheme not in ("http", "https") or not host or odd or parts.query or parts.fragment:
        raise ConfigurationError(
            f"An entry of DS01App.{setting} is no URL of a mirror.",
            hint="It begins with http:// or https://, and has no query.",
            setting=setting,
            host=host,
        )
    return text


def _certificates(path: Path) -> str:
    try:
        with path.open(encoding="ascii") as file:
            text = file.read(MAX_CA + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"The certificates in {path} (DS01App.ca_bundle) cannot be read: {error}.",
            hint="Tell your admin: it must be a PEM file.",
        ) from error
    if "-----BEGIN CERTIFICATE-----" not in text or len(text) > MAX_CA:
        raise ConfigurationError(
            f"There are no certificates in {path} (DS01App.ca_bundle).",
            hint="Tell your admin: it must be a PEM file.",
        )
    if "PRIVATE KEY" in text:
        raise ConfigurationError(
            f"There is a private key in {path} (DS01App.ca_bundle), which every build could read.",
            hint="Tell your admin: it must hold certificates only.",
        )
    return text
