"""Data sets that come as arrays: an .npz file, scikit-learn's digits, and torchvision's downloads by name."""

import zipfile
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.contract.errors import InputError
from train.raw import MAX_CLASSES, RawData, RawPart, check_labels

DOWNLOADS = {"cifar10": "CIFAR10", "fashionmnist": "FashionMNIST", "kmnist": "KMNIST", "mnist": "MNIST"}
MAX_NPZ_BYTES = 16 << 30
_ARRAYS = ("x_train", "y_train", "x_test", "y_test")
_NPZ = "an .npz with " + ", ".join(_ARRAYS)


def read_digits() -> RawData:
    """scikit-learn's 1,797 handwritten digits: 8 x 8, white on black, 0 to 16 stretched to bytes."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels = np.round(digits.images * (255 / 16)).astype(np.uint8)
    labels = tuple(str(name) for name in digits.target_names)
    return RawData({"train": _part(pixels, digits.target.astype(np.int64), "digits")}, labels, "digits")


def read_download(name: str, folder: Path) -> RawData:
    """A data set of `DOWNLOADS`, downloaded to `folder` by torchvision unless it is there. Raises InputError."""
    from train.vision import datasets

    parts = {}
    for part in ("train", "test"):
        try:
            found = getattr(datasets, DOWNLOADS[name])(str(folder), train=part == "train", download=True)
        except (OSError, RuntimeError) as error:  # torchvision checks what it downloads against its MD5
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise InputError(
                f"{name} could not be downloaded to {folder} ({reason})",
                "a network that reaches its site",
                "download it elsewhere and give it as an .npz or a folder",
            ) from None
        pixels, targets = np.asarray(found.data, np.uint8), np.asarray(found.targets, np.int64)
        parts[part] = _part(_rgb_to_bgr(pixels), targets, f"{name} {part}")
    names = [label.split(" - ")[0].replace("/", " or ") for label in found.classes]  # MNIST says "0 - zero"
    return RawData(parts, check_labels(names, name), name)


def read_npz(path: Path) -> RawData:
    """x_train, x_test: uint8 (N, H, W), (N, H, W, 1) or (N, H, W, 3), colour as RGB, as such files have it; y_train,
    y_test: integers (N,), classes from 0; optional `names`: strings, one a class. Raises InputError for anything else.
    """
    source = str(path.resolve())
    arrays = _load_arrays(path, source)
    parts = {}
    for part in ("train", "test"):
        pixels, targets = arrays["x_" + part], arrays["y_" + part]
        _check_pixels(pixels, f"{source}: x_{part}")
        _check_targets(targets, len(pixels), f"{source}: y_{part}")
        parts[part] = _part(_rgb_to_bgr(pixels), targets.astype(np.int64), f"{source} x_{part}")
    classes = 1 + int(parts["train"].targets.max())
    if int(parts["test"].targets.max()) >= classes:
        found = f"{source}: y_test has class {parts['test'].targets.max()}, y_train ends at {classes - 1}"
        raise InputError(found, "the same classes", "correct it")
    names = arrays.get("names", np.arange(classes).astype(str))
    if names.shape != (classes,) or names.dtype.kind != "U":
        found = f"{source}: names is {names.dtype} {names.shape}"
        raise InputError(found, f"{classes} strings, one a class", "correct or leave out names")
    return RawData(parts, check_labels(names.tolist(), source), source)


def _load_arrays(path: Path, source: str) -> dict[str, NDArray[np.generic]]:
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(info.file_size for info in archive.infolist())
        if size > MAX_NPZ_BYTES:
            raise InputError(f"{source} unpacks to {size >> 30} GiB", "at most 16 GiB", "give a folder of pictures")
        with np.load(path, allow_pickle=False) as archive:
            missing = [key for key in _ARRAYS if key not in archive.files]
            if missing:
                has = ", ".join(archive.files[:8]) or "nothing"
                raise InputError(f"{source} has no {missing[0]}, but {has}", _NPZ, "save it with these names")
            return {key: archive[key] for key in (*_ARRAYS, "names") if key in archive.files}
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, NotImplementedError, MemoryError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{source} cannot be read ({reason})", _NPZ + ", no objects in it", "make it again") from None


def _check_pixels(pixels: NDArray[np.generic], what: str) -> None:
    channels_fit = pixels.ndim == 3 or (pixels.ndim == 4 and pixels.shape[3] in (1, 3))
    if pixels.dtype != np.uint8 or not channels_fit or 0 in pixels.shape:
        raise InputError(f"{what} is {pixels.dtype} {pixels.shape}", "uint8 (N, H, W) or (N, H, W, 3)", "convert it")


def _check_targets(targets: NDArray[np.generic], count: int, what: str) -> None:
    if targets.dtype.kind not in "iu" or targets.ndim != 1:
        raise InputError(f"{what} is {targets.dtype} {targets.shape}", "integers (N,)", "convert it")
    if len(targets) != count:
        raise InputError(f"{what} has {len(targets)} labels", f"{count}, one a picture", "correct it")
    low, high = int(targets.min()), int(targets.max())
    if low < 0 or high >= MAX_CLASSES:
        raise InputError(f"{what} has labels {low} to {high}", f"0 to {MAX_CLASSES - 1}", "number the classes from 0")


def _rgb_to_bgr(pixels: NDArray[np.generic]) -> NDArray[np.uint8]:
    return np.asarray(pixels if pixels.ndim == 3 else pixels[..., ::-1], np.uint8)


def _part(pixels: NDArray[np.uint8], targets: NDArray[np.int64], name: str) -> RawPart:
    return RawPart(targets, lambda i: pixels[i], lambda i: f"{name}[{i}]")
