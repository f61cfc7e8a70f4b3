"""An image that is to be changed, as HTML: what it is now, and what to know before."""

from __future__ import annotations

from ds01_jupyter.core.models import DockerfilePreview, Image
from ds01_jupyter.widgets.markup import chips, code, escape, facts


def image_html(image: Image) -> str:
    """What the image is now."""
    rows = {
        "Build": "not known" if image.build is None else str(image.build),
        "Framework": escape(image.framework or ""),
        "Base packages": _base_words(image),
        "Use cases": chips(image.use_cases) if image.use_cases else "none",
        "Python packages": _installed(image),
        "Used by": ", ".join(map(code, image.containers)) or "no container",
    }
    return facts(rows)


def _base_words(image: Image) -> str:
    if isinstance(image.base, list):
        return chips(image.base) if image.base else "none"
    return "recommended set" if image.base == "defaults" else "none"


def _installed(image: Image) -> str:
    """How many there are, with the list folded behind."""
    if image.packages is None:
        return "not known"
    names = chips(f"{name} {version}" for name, version in sorted(image.packages.items()))
    return (
        f"<details class='ds01-file'><summary>{len(image.packages)} in all</summary>"
        f"<div class='ds01-package-table' tabindex='0'>{names}</div></details>"
    )


def warning_html(image: Image, file: DockerfilePreview | None) -> str:
    """That it is out of date, and what becomes of a Dockerfile that a person edited."""
    notices = [escape(reason) for reason in image.outdated]
    if file is not None and file.state == "edited":
        notices.append(
            f"What you wrote into {code(file.path)} is kept; only the parts between the marks "
            f"{code('# >>> ds01')} and {code('# <<< ds01')} are renewed."
        )
    return "".join(f"<p class='ds01-notice'>{notice}</p>" for notice in notices)
