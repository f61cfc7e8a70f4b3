"""A resolution as HTML: what would be installed, by tier; or the problems in plain words."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ds01_jupyter.core.models import ImageDiff, ImageImport, Resolution, ResolvedPackage
from ds01_jupyter.render import resolution_views
from ds01_jupyter.widgets.markup import code, escape, size


@dataclass(frozen=True)
class Here:
    """What an image has now: all its packages with versions, and the names that its tiers brought
    (None: not known yet)."""

    versions: Mapping[str, str]
    brought: Collection[str] | None = None


def resolution_html(resolution: Resolution, here: Here | None = None) -> str:
    """The answer in a line, with the list folded behind it. Where an image is `here` already, it is
    told what would change."""
    if not resolution.checked:
        return (
            "<div class='ds01-verdict ds01-resolved' role='status'>"
            "<span class='ds01-verdict-mark' aria-hidden='true'>?</span><div>"
            f"<p>Not checked before the build: {escape(resolution.note)}</p></div></div>"
        )
    if not resolution.ok:
        return ""
    words = escape(resolution_views.summary(resolution))
    lines = f"<p><b>{words}</b></p>"
    if here is not None:
        change = change_html(resolution, here)
        lines = f"<p class='ds01-resolution-change'>{change}</p><p>In all: {words}</p>"
    stays = resolution_views.framework(resolution)
    keeps = f"<p class='ds01-muted'>Stays as it is: {escape(stays)}.</p>" if stays else ""
    note = f"<p class='ds01-muted'>{escape(resolution.note)}</p>" if resolution.note else ""
    return (
        "<div class='ds01-verdict ds01-verdict-now ds01-resolved' role='status'>"
        "<span class='ds01-verdict-mark' aria-hidden='true'>✓</span><div>"
        f"{lines}{keeps}{note}"
        f"{_listed(resolution.packages)}</div></div>"
    )


def change_html(resolution: Resolution, here: Here) -> str:
    """What the image would get, lose and change, against what it has."""
    versions = here.versions
    comes = {one.name: one.version for one in resolution.packages}
    new = sorted(name for name in comes if name not in versions)
    other = sorted(name for name in comes if versions.get(name, comes[name]) != comes[name])
    gone = sorted(name for name in here.brought or () if name in versions and name not in comes)
    parts = []
    if new:
        parts.append(f"New here: {_names([f'{name} {comes[name]}' for name in new])}")
    if other:
        words = [f"{name} {versions[name]} → {comes[name]}" for name in other]
        parts.append(f"Changes: {_names(words)}")
    if gone:
        parts.append(f"Goes: {_names(gone)}")
    return ". ".join(parts) + "." if parts else "The image has all of it in these versions."


def _names(words: Sequence[str], most: int = 8) -> str:
    shown = ", ".join(f"<b>{escape(word)}</b>" for word in words[:most])
    return shown + (f" and {len(words) - most} more" if len(words) > most else "")


def _listed(packages: Sequence[ResolvedPackage]) -> str:
    if not packages:
        return ""
    tiers = []
    for tier in dict.fromkeys(one.tier for one in packages):
        rows = "".join(_row(one) for one in packages if one.tier == tier)
        title = escape(resolution_views.tier_title(tier))
        tiers.append(f"<tbody><tr><th colspan='4'>{title}</th></tr>{rows}</tbody>")
    return (
        f"<details class='ds01-file'><summary>All {len(packages)} packages</summary>"
        f"<div class='ds01-package-table' tabindex='0'><table>{''.join(tiers)}</table></div>"
        "</details>"
    )


def _row(package: ResolvedPackage) -> str:
    css = "" if package.asked else " class='ds01-muted'"
    load = size(package.size) if package.state != "present" and package.size is not None else ""
    state = "" if package.state == "new" else resolution_views.state(package).text
    return (
        f"<tr{css}><td>{escape(package.name)}</td><td>{escape(package.version)}</td>"
        f"<td>{escape(state)}</td><td>{escape(load)}</td></tr>"
    )


def notes_html(imported: ImageImport, filename: str) -> str:
    """What came from a file, and what did not: its line, why, and a suggestion."""
    taken = [*imported.pip, *imported.apt]
    words = f"{len(taken)} package{'' if len(taken) == 1 else 's'} found in {code(filename)}."
    if imported.framework:
        name = f"{imported.framework} {imported.version or ''}".strip()
        words += f" It starts from {escape(name)}."
    rows = "".join(
        f"<li>{f'line {note.line}: ' if note.line is not None else ''}{code(note.text)} "
        f"{escape(note.why)}"
        + (f" Perhaps {code(note.suggestion)}?" if note.suggestion else "")
        + "</li>"
        for note in imported.notes
    )
    left = f"<p>Not taken, or not as it stands there:</p><ul>{rows}</ul>" if rows else ""
    css = "ds01-notice" if rows else "ds01-notice ds01-notice-good"
    return f"<div class='{css} ds01-import' role='status'><p>{words}</p>{left}</div>"


def diff_html(diff: ImageDiff) -> str:
    """Packages that came, went or changed, and the Dockerfile folded behind them."""
    rows = "".join(
        f"<tr class='ds01-change-{kind}'><td>{escape(one.name)}</td>"
        f"<td>{escape(one.before or '')}</td><td>{escape(one.after or '')}</td>"
        f"<td>{kind}</td></tr>"
        for one, kind in resolution_views.changes(diff)
    )
    counted = escape(resolution_views.counted(diff))
    table = (
        "<div class='ds01-package-table' tabindex='0'><table><thead><tr><th>Package</th>"
        f"<th>Build {diff.before}</th><th>Build {diff.after}</th><th></th></tr></thead>"
        f"<tbody>{rows}</tbody></table></div>"
        if rows
        else ""
    )
    text = resolution_views.dockerfile_changes(diff)
    base = "<p>The framework's image is another one.</p>" if diff.base_changed else ""
    file = (
        "<details class='ds01-file'><summary>What changed in the Dockerfile</summary>"
        f"<pre class='ds01-dockerfile' tabindex='0'>{escape(text)}</pre></details>"
        if text
        else ""
    )
    return f"<p class='ds01-label'>What changed: {counted}</p>{table}{base}{file}"
