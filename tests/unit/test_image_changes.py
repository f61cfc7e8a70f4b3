"""What an update makes of a request, and of a Dockerfile that somebody edited."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from ds01_jupyter.core.errors import InvalidInput
from ds01_jupyter.core.image_builds import sections
from ds01_jupyter.core.image_builds.changes import difference, updated
from ds01_jupyter.core.image_builds.tables import BuildRow
from ds01_jupyter.core.models import ImageRequest, ImageUpdateRequest, PackageChange

WRITTEN = """# The image
# >>> ds01 base >>> kept up to date; write above or below this part
FROM aimehub/one
# <<< ds01 base <<<

# >>> ds01 packages >>> kept up to date; write above or below this part
RUN install tier-base.txt
# <<< ds01 packages <<<

# >>> ds01 end >>> kept up to date; write above or below this part
CMD ["/bin/bash"]
# <<< ds01 end <<<
"""
NEW = WRITTEN.replace("tier-base.txt", "tier-base.txt tier-custom.txt").replace("one", "two")


def request(**changes: Any) -> ImageRequest:
    return ImageRequest(
        framework="Pytorch", version="2.5.1", name="a", pip=["einops>=0.8", "Rich"], apt=["tree"]
    ).model_copy(update=changes)


# ---- requests --------------------------------------------------------------------------------


def test_packages_are_added_and_removed_by_name() -> None:
    changes = ImageUpdateRequest(
        add_pip=["tqdm"], remove_pip=["EINOPS"], add_apt=["ffmpeg", "tree"], remove_apt=[]
    )
    found = updated(request(), changes)
    assert found.pip == ["Rich", "tqdm"]
    assert found.apt == ["tree", "ffmpeg"]
    assert (found.framework, found.version, found.base) == ("Pytorch", "2.5.1", "defaults")


def test_another_version_takes_the_place_of_the_old_one() -> None:
    assert updated(request(), ImageUpdateRequest(add_pip=["einops==0.7"])).pip == [
        "Rich",
        "einops==0.7",
    ]


def test_absent_and_empty_are_two_things() -> None:
    there = request(use_cases=["cv"], base=["numpy"])
    assert updated(there, ImageUpdateRequest()).use_cases == ["cv"]
    assert updated(there, ImageUpdateRequest(use_cases=[])).use_cases == []
    assert updated(there, ImageUpdateRequest(base="none")).base == "none"


def test_what_is_not_there_cannot_be_removed() -> None:
    with pytest.raises(InvalidInput) as refusal:
        updated(request(), ImageUpdateRequest(remove_pip=["enops"]))
    assert "einops" in refusal.value.hint
    with pytest.raises(InvalidInput):
        updated(request(), ImageUpdateRequest(remove_apt=["ffmpeg"]))


@pytest.mark.parametrize("text", ["-r x", "a;b", "https://x/y.whl", "$(id)"])
def test_b25_no_change_lets_anything_but_packages_in(text: str) -> None:
    with pytest.raises(InvalidInput):
        updated(request(), ImageUpdateRequest(add_pip=[text]))


# ---- Dockerfiles -----------------------------------------------------------------------------


def test_what_a_person_wrote_around_the_marked_parts_stays() -> None:
    mine = "# mine\n" + WRITTEN.replace(
        "# <<< ds01 packages <<<\n", "# <<< ds01 packages <<<\nRUN my own step\n"
    )
    assert sections.touched(mine, WRITTEN) == []
    merged = sections.merged(mine, NEW)
    assert merged is not None
    assert merged == "# mine\n" + NEW.replace(
        "# <<< ds01 packages <<<\n", "# <<< ds01 packages <<<\nRUN my own step\n"
    )


def test_a_part_that_was_taken_out_stays_out() -> None:
    start = WRITTEN.index("# >>> ds01 end")
    merged = sections.merged(WRITTEN[:start], NEW)
    assert merged == NEW[: NEW.index("# >>> ds01 end")]


def test_a_change_within_a_part_is_seen() -> None:
    mine = WRITTEN.replace("RUN install", "RUN echo hello && install")
    assert sections.touched(mine, WRITTEN) == ["packages"]


@pytest.mark.parametrize(
    "mine",
    [
        "FROM x\n",
        "",
        WRITTEN.replace("# <<< ds01 base <<<\n", ""),
        WRITTEN + WRITTEN,
        WRITTEN.replace("ds01 base", "ds01 other"),
        WRITTEN.replace("FROM aimehub/one", "# >>> ds01 packages >>>"),
    ],
)
def test_marks_that_are_not_ours_any_more_are_not_guessed_at(mine: str) -> None:
    assert sections.merged(mine, NEW) is None


def test_an_empty_part_is_filled_and_emptied() -> None:
    empty = WRITTEN.replace("RUN install tier-base.txt\n", "")
    assert sections.merged(empty, WRITTEN) == WRITTEN
    assert sections.merged(WRITTEN, empty) == empty


# ---- builds ----------------------------------------------------------------------------------


def build(number: int, packages: dict[str, str] | None, **changes: Any) -> BuildRow:
    values: dict[str, Any] = {
        "uid": 1,
        "name": "a",
        "number": number,
        "reference": f"a:build-{number}",
        "image_id": f"sha256:{number}",
        "base_image": "b",
        "base_image_id": "sha256:b",
        "request": "{}",
        "dockerfile": "FROM b\n",
        "lock": None,
        "shared_key": None,
        "packages": packages,
        "size": 1,
        "created": datetime.now(UTC),
    }
    return BuildRow(**{**values, **changes})


def test_a_difference_names_what_came_went_and_changed() -> None:
    before = build(1, {"numpy": "1", "six": "1", "rich": "2"})
    after = build(2, {"numpy": "2", "rich": "2", "tqdm": "4"}, dockerfile="FROM b\nRUN x\n")
    found = difference(before, after)
    assert found.changes == [
        PackageChange(name="numpy", before="1", after="2"),
        PackageChange(name="six", before="1", after=None),
        PackageChange(name="tqdm", before=None, after="4"),
    ]
    assert "+RUN x" in found.dockerfile
    assert not found.base_changed
    assert difference(before, build(2, {}, base_image_id="sha256:c")).base_changed
