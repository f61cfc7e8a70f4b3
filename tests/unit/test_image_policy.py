"""Which images a Dockerfile needs, whatever way it is written, and what is refused."""

from __future__ import annotations

import pytest

from ds01_jupyter.core.errors import Forbidden
from ds01_jupyter.core.image_policy import images_of, refuse_others


@pytest.mark.parametrize(
    ("text", "images"),
    [
        ("FROM a/b:1\nRUN x", {"a/b:1"}),
        ("from --platform=linux/amd64 a/b AS x\nFROM x\nCOPY --from=x / /", {"a/b"}),
        ("ARG B=evil/x\nARG T=2\nFROM ${B}:$T", {"evil/x:2"}),
        ("FROM $B", {"$B"}),
        ("FROM ${B:-evil/x}", {"${B:-evil/x}"}),
        ("FROM scratch\nCOPY --from=evil/x /a /b", {"evil/x"}),
        ("FROM a AS s\nFROM b\nCOPY --from=0 / /\nCOPY --chown=1 --from=S / /", {"a", "b"}),
        ("FROM a\nRUN --mount=type=bind,from=evil/x,target=/x true", {"a", "evil/x"}),
        ('FROM a\nRUN --mount=type=bind,"from=evil/x",target=/x true', {"a", "evil/x"}),
        ("FROM a\nRUN --mount=type=cache,target=/x \\\n  --mount=from=evil/x,target=/y t",
         {"a", "evil/x"}),
        ("FROM a\nONBUILD COPY --from=evil/x / /", {"a", "evil/x"}),
        ("FR\\\nOM evil/x", {"evil/x"}),
        ("FROM \\\n# a comment\n\n  evil/x", {"evil/x"}),
        ("# a comment \\\nFROM evil/x", {"evil/x"}),
        ("FROM a\nRUN x \\   \n  y\nFROM evil/x", {"a", "evil/x"}),
        ("# syntax=evil/front\nFROM a", {"evil/front", "a"}),
        ("// syntax=evil/front\nFROM a", {"evil/front", "a"}),
        ('{"syntax": "evil/front"}', {"$syntax"}),
        ("\ufeffFROM evil/x", {"evil/x"}),
        ("FROM a\r\nFROM evil/x\r\n", {"a", "evil/x"}),
        # The escape of this file is another one: what looks continued is not.
        ("# escape=`\nFROM a\nRUN x \\\nFROM evil/x", {"a", "evil/x"}),
        ("# escape=`\nFROM a\nFR`\nOM evil/x", {"a", "evil/x"}),
        # A here-document that ends with what looks like a continuation.
        ("FROM a\nRUN <<'E \\'\nE \\\nFR\\\nOM evil/x", {"a", "evil/x"}),
        # A stage that is only the text of a here-document is none.
        ("FROM a\nRUN <<E\nFROM a AS evil\nE\nCOPY --from=evil / /", {"a", "evil"}),
        # What no FROM can be is none.
        ("FROM a\nRUN <<E\nfrom os import path\nE", {"a"}),
    ],
)  # fmt: skip
def test_every_image_is_seen(text: str, images: set[str]) -> None:
    assert images_of(text) == images


OURS = {"aimehub/pytorch", "ds01-jupyter/uv:1"}
ALLOWED = ("nvidia/*", "registry.lab.example/*", "ubuntu")


@pytest.mark.parametrize(
    "image",
    ["aimehub/pytorch", "docker.io/aimehub/pytorch:latest", "nvidia/cuda:12.1-base", "ubuntu:24.04",
     "index.docker.io/nvidia/cuda", "registry.lab.example/a/b:1", "docker.io/library/ubuntu",
     "docker.io/ubuntu", "nvidia/cuda@sha256:" + "0" * 64],
)  # fmt: skip
def test_these_may_be_used(image: str) -> None:
    refuse_others(f"FROM {image}", ALLOWED, OURS)


@pytest.mark.parametrize(
    "image",
    ["evil/x", "aimehub/pytorch:other", "evil.example/nvidia/cuda", "ubuntu-evil", "$X",
     "registry.lab.example.evil/a", "evil/registry.lab.example/x", "localhost/nvidia/x"],
)  # fmt: skip
def test_these_may_not(image: str) -> None:
    with pytest.raises(Forbidden) as caught:
        refuse_others(f"FROM aimehub/pytorch\nCOPY --from={image} / /", ALLOWED, OURS)
    assert caught.value.details["images"] == [image]
    assert "nvidia/*" in caught.value.hint


def test_without_patterns_nothing_is_refused() -> None:
    refuse_others("FROM evil/x", (), ())
