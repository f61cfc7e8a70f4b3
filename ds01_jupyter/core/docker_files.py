"""Files of images, through the Engine API."""

from __future__ import annotations

import io
import tarfile
from contextlib import suppress
from typing import Any

from docker.errors import APIError

from ds01_jupyter.core.engine import MAX_READ
from ds01_jupyter.core.labels import PREFIX

READING = f"{PREFIX}.READING"
"""Label of the containers that are made to read a file, and never started."""


def read_file(api: Any, image: str, path: str) -> bytes | None:
    """A regular file of an image; None when there is none, or it is larger than `MAX_READ`."""
    container = api.create_container(
        image, command=["-"], labels={READING: "1"}, network_disabled=True
    )["Id"]
    try:
        try:
            stream, facts = api.get_archive(container, path)
        except APIError as error:
            if error.status_code == 404:
                return None
            raise
        if facts["size"] > MAX_READ:
            stream.close()
            return None
        raw = b"".join(stream)
    finally:
        with suppress(APIError):
            api.remove_container(container, force=True, v=True)
    with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
        member = archive.next()
        file = None if member is None else archive.extractfile(member)
        return None if file is None else file.read()
