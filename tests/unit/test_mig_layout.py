"""Layout files of mig-parted's schema: what is read, what is refused and where, what is written."""

from __future__ import annotations

import pytest

from ds01_jupyter.core.errors import InvalidInput
from ds01_jupyter.core.gpu.mig_layout import Shape, parse_layout, render_layout

HEAD = "version: v1\nmig-configs:\n  a:\n"
ENTRY = HEAD + "    - devices: all\n      mig-enabled: true\n      mig-devices: "


def test_a_file_is_read_as_mig_parted_writes_it() -> None:
    file = parse_layout(
        """
version: v1
mig-configs:
  all-disabled:
    - devices: all
      mig-enabled: false
  mixed:
    - device-filter: ["0x20B010DE", "0x20B210DE"]
      devices: [0, 2]
      mig-enabled: true
      mig-devices:
        "1g.5gb": 2
        1g.5gb+me: 1
        1c.3g.20gb: 3
        "3g.20gb": 0
    - device-filter: 0x233010DE
      devices: all
      mig-enabled: true
      mig-devices: {}
""",
        "x.yaml",
    )
    assert list(file.labels) == ["all-disabled", "mixed"]
    (off,) = file.labels["all-disabled"]
    assert (off.devices, off.filters, off.enabled, off.counts) == (None, (), False, {})
    first, second = file.label("mixed")[1]
    assert (first.devices, first.filters) == ((0, 2), (0x20B010DE, 0x20B210DE))
    assert first.counts == {"1g.5gb": 2, "1g.5gb+me": 1, "1c.3g.20gb": 3}
    assert (second.devices, second.filters, second.counts) == (None, (0x233010DE,), {})
    assert [first.covers(i, 0x20B010DE) for i in range(3)] == [True, False, True]
    assert not first.covers(0, 0x233010DE)


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("", 1, "nothing in this file"),
        ("mig-configs: {a: [{devices: all, mig-enabled: false}]}", 1, "`version: v1` is missing"),
        ("version: v2\nmig-configs: {}", 1, "must be v1"),
        ("version: v1\nmig-configs: {}", 2, "no layout in mig-configs"),
        ("version: v1\nmig-config: {}", 2, "no such key"),
        ("version: v1\nmig-configs:\n  a: []", 3, "has no entry"),
        (HEAD + "    - mig-enabled: false", 4, "`devices` is missing"),
        (HEAD + "    - devices: all", 4, "`mig-enabled` is missing"),
        (HEAD + "    - devices: some\n      mig-enabled: false", 4, "must be all, or a list"),
        (HEAD + "    - devices: []\n      mig-enabled: false", 4, "must be all, or a list"),
        (HEAD + "    - devices: [0, one]\n      mig-enabled: false", 4, "0 to 255"),
        (HEAD + "    - devices: [-1]\n      mig-enabled: false", 4, "0 to 255"),
        (HEAD + "    - devices: [true]\n      mig-enabled: false", 4, "0 to 255"),
        (HEAD + "    - devices: [1,\n       1]\n      mig-enabled: false", 5, "twice"),
        (HEAD + "    - devices: all\n      mig-enabled: on-ish", 5, "true or false"),
        (HEAD + "    - devices: all\n      mig-enabled: 1", 5, "true or false"),
        (HEAD + "    - devices: all\n      mig-enabled: true", 4, "`mig-devices` must be here"),
        (
            HEAD + "    - devices: all\n      mig-enabled: false\n      mig-devices: {1g.5gb: 1}",
            6,
            "mig-enabled: false",
        ),
        (HEAD + "    - devices: all\n      mig-enabled: false\n      device: 1", 6, "no such key"),
        (ENTRY + "{1g.5gb: 1.5}", 6, "0 to 64"),
        (ENTRY + "{1g.5gb: -1}", 6, "0 to 64"),
        (ENTRY + "\n        1g.5gb: 1\n        1g5gb: 1", 8, "not a MIG profile"),
        (ENTRY + "{1G.5gb: 1, 1g.5gb: 2}", 6, "twice"),
        (ENTRY + "{1g.5gb+you: 1}", 6, "not a MIG profile"),
        (ENTRY + "{1g.5gb: 1\n", 7, "not YAML"),
        (ENTRY + "{}\n      device-filter: A100", 7, "PCI device id"),
        (ENTRY + "{}\n      device-filter: [0x20B010DE, 12]", 7, "PCI device id"),
        (ENTRY + "!!python/object:os.system {}", 6, "no meaning here"),
    ],
)
def test_every_mistake_is_named_with_its_line(text: str, line: int, says: str) -> None:
    with pytest.raises(InvalidInput) as error:
        parse_layout(text, "gpus.yaml")
    assert says in error.value.message
    assert error.value.message.startswith(f"gpus.yaml:{line}: ")
    assert error.value.details["line"] == line
    assert "docs/mig.md" in error.value.hint


def test_a_label_is_needed_where_there_are_several() -> None:
    one = parse_layout(ENTRY + "{}", "x")
    assert one.label(None)[0] == "a"
    with pytest.raises(InvalidInput, match="no layout 'b'"):
        one.label("b")
    two = parse_layout(ENTRY + "{}\n  b:\n    - {devices: [0], mig-enabled: false}", "x")
    with pytest.raises(InvalidInput, match="several layouts") as error:
        two.label(None)
    assert error.value.details["labels"] == ["a", "b"]


def test_what_is_written_reads_back_the_same() -> None:
    shapes = [
        Shape(0, 0x20B010DE, False, {}),
        Shape(1, 0x20B010DE, True, {"3g.20gb": 1, "1g.5gb+me": 1}),
        Shape(2, 0x20B010DE, False, {}),
        Shape(3, 0x233010DE, True, {}),
    ]
    (entries,) = parse_layout(render_layout(shapes), "x").labels.values()
    assert [entry.devices for entry in entries] == [(0, 2), (1,), (3,)]
    assert [entry.filters for entry in entries] == [(0x20B010DE,), (0x20B010DE,), (0x233010DE,)]
    for shape in shapes:
        (entry,) = [each for each in entries if each.covers(shape.index, shape.device_id)]
        assert (entry.enabled, dict(entry.counts)) == (shape.enabled, dict(shape.counts))


def test_one_model_needs_no_filter_and_no_gpu_gives_no_entry() -> None:
    assert "device-filter" not in render_layout([Shape(0, 1, True, {"1g.5gb": 7})])
    assert render_layout([]) == "version: v1\nmig-configs:\n  current: []\n"
