"""Data sets of arrays: .npz files, scikit-learn's digits, torchvision's downloads."""

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.contract.errors import InputError
from train.data import load_data
from train.vision import datasets


def arrays(colour: bool = False) -> dict[str, Any]:
    generator = np.random.default_rng(0)
    shape = (8, 8, 3) if colour else (8, 8)
    return {
        "x_train": generator.integers(0, 256, (30, *shape), np.uint8),
        "y_train": np.arange(30) % 3,
        "x_test": generator.integers(0, 256, (6, *shape), np.uint8),
        "y_test": np.arange(6) % 3,
    }


def save(path: Path, changes: dict[str, Any]) -> str:
    kept = {key: value for key, value in (arrays() | changes).items() if value is not None}
    np.savez(path, **kept)
    return str(path)


def test_an_npz_keeps_its_test_part_and_gives_up_a_tenth_of_each_class_for_val(tmp_path: Path) -> None:
    data = load_data(save(tmp_path / "a.npz", {}), seed=0)
    assert data.labels == ("0", "1", "2")
    assert [np.bincount(part.targets).tolist() for part in data.parts.values()] == [[9] * 3, [1] * 3, [2] * 3]
    assert data.train.pixels.shape == (27, 32, 32, 1)
    assert data.train.pixels.dtype == np.uint8 and data.train.targets.dtype == np.int64


def test_an_npz_may_name_its_classes(tmp_path: Path) -> None:
    assert load_data(save(tmp_path / "a.npz", {"names": np.array(["a", "b", "c"])}), seed=0).labels == ("a", "b", "c")


def test_colours_in_an_npz_are_rgb_and_become_bgr(tmp_path: Path) -> None:
    red = np.zeros((30, 8, 8, 3), np.uint8)
    red[..., 0] = 255
    data = load_data(save(tmp_path / "a.npz", arrays(colour=True) | {"x_train": red}), seed=0)
    assert data.train.pixels[0, 0, 0].tolist() == [0, 0, 255]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y_test": None}, "has no y_test"),
        ({"x_train": np.zeros((30, 8, 8), np.float32)}, "x_train is float32 (30, 8, 8)"),
        ({"x_train": np.zeros((30, 64), np.uint8)}, "x_train is uint8 (30, 64)"),
        ({"x_train": np.zeros((30, 8, 8, 4), np.uint8)}, "x_train is uint8 (30, 8, 8, 4)"),
        ({"x_test": np.zeros((0, 8, 8), np.uint8), "y_test": np.zeros(0, int)}, "x_test is uint8 (0, 8, 8)"),
        ({"y_train": np.zeros(30)}, "y_train is float64 (30,)"),
        ({"y_train": np.zeros((30, 1), int)}, "y_train is int64 (30, 1)"),
        ({"y_train": np.arange(29) % 3}, "y_train has 29 labels"),
        ({"y_train": np.arange(30) % 3 - 1}, "y_train has labels -1 to 1"),
        ({"y_train": np.arange(30) * 1000}, "y_train has labels 0 to 29000"),
        ({"y_test": np.arange(6)}, "y_test has class 5, y_train ends at 2"),
        ({"y_train": np.arange(30) % 3 * 2}, "the class '1' has 0 readable training pictures"),
        ({"y_train": np.zeros(30, int), "y_test": np.zeros(6, int)}, "has one class, '0'"),
        ({"names": np.array(["a", "b"])}, "names is <U1 (2,)"),
        ({"names": np.array(["a", "b", "a"])}, "has the class 'a' twice"),
        ({"names": np.array(["a", "b", "c/d"])}, "holds '/'"),
        ({"x_train": np.array([None] * 30)}, "cannot be read (Object arrays cannot be loaded"),
    ],
)
def test_an_npz_that_does_not_fit_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as refusal:
        load_data(save(tmp_path / "a.npz", changes), seed=0)
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 0.999), flip=st.booleans())
def test_a_damaged_npz_never_gives_more_than_one_clear_line(tmp_path: Path, share: float, flip: bool) -> None:
    data = bytearray(Path(save(tmp_path / "a.npz", {})).read_bytes())
    at = int(share * len(data))
    if flip:
        data[at] ^= 0xFF
    else:
        del data[at:]
    path = tmp_path / "b.npz"
    path.write_bytes(data)
    try:
        load_data(str(path), seed=0)
    except InputError as error:
        assert "\n" not in str(error)


def test_digits_are_bytes_from_black_to_white_in_ten_classes() -> None:
    data = load_data("digits", seed=0)
    assert data.labels == tuple("0123456789")
    assert [len(part.targets) for part in data.parts.values()] == [1259, 179, 359]
    assert data.train.pixels.shape[1:] == (32, 32, 1)
    assert data.train.pixels.min() == 0 and data.train.pixels.max() == 255


def write_idx(folder: Path, name: str, values: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
    header = struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(header + values.tobytes())
    (folder / (name + ".gz")).write_bytes(gzip.compress(header + values.tobytes()))


def test_a_download_that_is_there_is_read_without_a_network(tmp_path: Path) -> None:
    raw = tmp_path / "FashionMNIST" / "raw"
    for part, count in (("train", 30), ("t10k", 10)):
        write_idx(raw, f"{part}-images-idx3-ubyte", np.full((count, 28, 28), 9, np.uint8))
        write_idx(raw, f"{part}-labels-idx1-ubyte", np.arange(count, dtype=np.uint8) % 10)
    data = load_data("fashionmnist", seed=0, downloads=tmp_path)
    assert data.labels[:2] == ("T-shirt or top", "Trouser")
    assert (data.source, [len(part.targets) for part in data.parts.values()]) == ("fashionmnist", [20, 10, 10])


def test_a_download_without_a_network_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.MNIST, "mirrors", ["http://127.0.0.1:9/"])
    with pytest.raises(InputError, match="mnist could not be downloaded to") as refusal:
        load_data("mnist", seed=0, downloads=tmp_path)
    assert "\n" not in str(refusal.value)
