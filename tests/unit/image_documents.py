"""Documents of images for tests: resolutions, builds and what differs between them."""

from __future__ import annotations

from typing import Any

NOW = "2026-11-23T12:00:00Z"
MB = 2**20


def package(name: str, version: str = "1.0", **more: Any) -> dict[str, Any]:
    """A package of a resolution, asked for by the custom tier."""
    return {
        "name": name,
        "version": version,
        "tier": "custom",
        "asked": True,
        "state": "new",
        "was": None,
        "size": MB,
        **more,
    }


def resolution(*packages: dict[str, Any], **more: Any) -> dict[str, Any]:
    """One that can be built, unless `problems` are among `more`."""
    problems = more.get("problems", [])
    new = [one for one in packages if one["state"] != "present"]
    return {
        "ok": not problems,
        "checked": True,
        "base_image": "aimehub/x",
        "python": "3.11.2",
        "framework": {"torch": "2.5.1+cu121", "torchvision": "0.20.1+cu121"},
        "packages": list(packages),
        "problems": problems,
        "download": sum(one["size"] or 0 for one in new),
        **more,
    }


def typo(name: str = "einopps", near: str | None = "einops") -> dict[str, Any]:
    """A name that no index has."""
    return {
        "kind": "not_found",
        "package": name,
        "message": f"There is no package {name} on the package index.",
        "suggestion": f"Did you mean {near}?" if near else "Check its name.",
        "replace": near,
        "said": "uv said so",
    }


def build(number: int, current: bool = False, **more: Any) -> dict[str, Any]:
    """A build of an image."""
    return {
        "number": number,
        "current": current,
        "created": NOW,
        "image_id": f"sha256:{number}",
        "base_image": "aimehub/x",
        "size": 500 * MB,
        "packages": {"tqdm": "4.0"},
        "available": True,
        **more,
    }


def diff(before: int = 1, after: int = 2, **more: Any) -> dict[str, Any]:
    """einops came, six went, tqdm changed."""
    return {
        "before": before,
        "after": after,
        "changes": [
            {"name": "einops", "before": None, "after": "0.8.1"},
            {"name": "six", "before": "1.17.0", "after": None},
            {"name": "tqdm", "before": "4.66", "after": "4.67"},
        ],
        "base_changed": False,
        "dockerfile": "-RUN one\n+RUN two\n-# By this one sees whether",
        **more,
    }
