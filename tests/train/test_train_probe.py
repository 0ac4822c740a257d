"""A classifier that is fitted to features before training."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from edge.contract.errors import UsageError
from train.data import Pictures
from train.network import build_network
from train.predict import evaluate, predict
from train.probe import fit_classifier
from train.recipe import load_recipe, override


def _pictures(classes: list[int], count: int, seed: int = 0) -> Pictures:
    """Grey pictures, brighter by class, with noise."""
    random = np.random.default_rng(seed)
    targets = np.repeat(np.array(classes, np.int64), count)
    pixels = random.normal(40 + 40 * targets[:, None, None, None], 12, (len(targets), 32, 32, 1))
    return Pictures(pixels.clip(0, 255).astype(np.uint8), targets)


def _network(classes: int) -> nn.Module:
    torch.manual_seed(0)
    return build_network("resnet-s", 1, classes, (32, 32))


@pytest.mark.parametrize("classes", [2, 4])
def test_the_classifier_answers_as_logistic_regression_on_the_features_does(classes: int) -> None:
    network, pictures = _network(classes), _pictures(list(range(classes)), 20)
    features, _ = predict(network, pictures.pixels)
    expected = LogisticRegression(max_iter=300).fit(features, pictures.targets)
    fit_classifier(network, pictures)
    other = _pictures(list(range(classes)), 10, 1)
    features, logits = predict(network, other.pixels)
    found = torch.from_numpy(logits).softmax(1).numpy()
    assert np.allclose(found, expected.predict_proba(features), atol=1e-4)
    assert evaluate(network, other) > 0.8


def test_a_class_without_a_picture_keeps_its_fresh_weights() -> None:
    network = _network(4)
    fresh = network.classifier.weight[2].clone()
    fit_classifier(network, _pictures([0, 1, 3], 20))
    assert torch.equal(network.classifier.weight[2], fresh)
    assert evaluate(network, _pictures([0, 1, 3], 10, 1)) > 0.8


def test_pictures_of_one_class_change_nothing() -> None:
    network = _network(3)
    fresh = network.classifier.weight.clone()
    fit_classifier(network, _pictures([1], 20))
    assert torch.equal(network.classifier.weight, fresh)


def test_only_pretrained_features_are_probed() -> None:
    with pytest.raises(UsageError, match="linear_probe"):
        override(load_recipe("small"), {"linear_probe": True})
    assert not override(load_recipe("photos"), {"network": "resnet18"}).linear_probe
