"""Which board this is, by the device tree that its kernel shows."""

import pytest

from edge.contract.boards import NAMES, find_board


def system(tmp_path, *compatible):
    """A folder that stands for `/` of a board."""
    folder = tmp_path / "proc" / "device-tree"
    folder.mkdir(parents=True)
    (folder / "compatible").write_bytes(b"".join(entry.encode() + b"\0" for entry in compatible))
    return str(tmp_path)


@pytest.mark.parametrize(
    "name, compatible",
    [
        ("jetson-nano", ["nvidia,p3450-0000", "nvidia,tegra210"]),
        ("jetson-nano", ["nvidia,p3449-0000-b00+p3448-0000-b00", "nvidia,jetson-nano", "nvidia,tegra210"]),
        ("jetson-tx1", ["nvidia,p2371-2180", "nvidia,tegra210"]),
        ("jetson-tx2", ["nvidia,p2771-0000", "nvidia,tegra186"]),
        ("jetson-xavier-nx", ["nvidia,p3449-0000+p3668-0000", "nvidia,p3509-0000+p3668-0000", "nvidia,tegra194"]),
        ("jetson-agx-xavier", ["nvidia,p2972-0000", "nvidia,tegra194"]),
        ("jetson-orin-nano", ["nvidia,p3768-0000+p3767-0005", "nvidia,p3767-0005", "nvidia,tegra234"]),
        ("jetson-orin-nano", ["nvidia,p3768-0000+p3767-0005-super", "nvidia,tegra234"]),
        ("jetson-orin-nx", ["nvidia,p3509-0000+p3767-0000", "nvidia,tegra234"]),
        ("jetson-agx-orin", ["nvidia,p3737-0000+p3701-0000", "nvidia,p3701-0000", "nvidia,tegra234"]),
        ("", ["raspberrypi,4-model-b", "brcm,bcm2711"]),
    ],
)
def test_a_board_is_known_by_its_modules_part_number(tmp_path, name, compatible):
    assert find_board(system(tmp_path, *compatible)) == name
    assert name == "" or name in NAMES


def test_the_first_entry_that_is_in_the_table_counts(tmp_path):
    """A carrier that takes both modules lists them, its own first."""
    assert find_board(system(tmp_path, "nvidia,p3768-0000+p3767-0003", "nvidia,p3767-0000")) == "jetson-orin-nano"


def test_a_pc_has_no_device_tree_and_no_name(tmp_path):
    assert find_board(str(tmp_path)) == ""
