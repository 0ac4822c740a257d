"""Recipes: YAML in, one checked record out."""

from dataclasses import replace
from pathlib import Path

import pytest

from edge.contract.errors import UsageError
from train.recipe import load_recipe, override, parse_recipe, recipe_text

TEXT = recipe_text(load_recipe("small"))


def test_a_recipe_survives_its_yaml_form() -> None:
    recipe = replace(load_recipe("small"), epochs=3, learning_rate=1e-5, seed=7)
    assert parse_recipe(recipe_text(recipe), "text") == recipe


def test_a_recipe_is_found_by_name_or_by_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(TEXT)
    assert load_recipe(str(path)) == load_recipe("small")


def test_a_recipe_that_is_not_there_is_refused_with_the_known_names() -> None:
    with pytest.raises(UsageError, match="there is no recipe 'nope'; expected a readable YAML file, or one of photos"):
        load_recipe("nope")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("momentum:", "momentun:", "the unknown field 'momentun'"),
        ("  degrees:", "  degree:", "augmentation has the unknown field 'degree'"),
        ("batch:", "# batch:", "no field 'batch'"),
        ("network: resnet-s", "network: vgg", "network is 'vgg'; expected network one of resnet-s, "),
        ("height: 32", "height: 31", "height is 31; expected height 32 to 512"),
        ("width: 32", "width: 513", "width is 513; expected width 32 to 512"),
        ("pretrained: false", "pretrained: true", "pretrained is True; expected pretrained true only for efficientnet"),
        ("pretrained: false", "pretrained: 1", "pretrained is 1"),
        ("frozen_share: 0.0", "frozen_share: 1.0", "frozen_share is 1.0; expected frozen_share 0 to below 1"),
        ("frozen_norms: false", "frozen_norms: some", "frozen_norms is 'some'"),
        ("  crop: ", "  crop: 2", "augmentation.crop is 2"),
        ("amp: true", "amp: 1", "amp is 1"),
        ("seed: 0", "seed: -1", "seed is -1"),
        ("momentum: 0.9", "momentum: .nan", "momentum is nan"),
        ("momentum: 0.9", "momentum: 9e-1", "momentum is '9e-1'"),
        ("optimizer: sgd", "optimizer: lion", "expected optimizer sgd or adamw"),
        ("  degrees: ", "  degrees: 9", "augmentation.degrees is 9"),
        ("network:", "network: [", "is no YAML"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused_by_the_field(old: str, new: str, message: str) -> None:
    assert old in TEXT
    with pytest.raises(UsageError) as refusal:
        parse_recipe(TEXT.replace(old, new), "text")
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_an_empty_recipe_is_refused() -> None:
    with pytest.raises(UsageError, match="is no list of fields"):
        parse_recipe("", "text")


def test_a_small_set_gets_more_epochs_and_a_tiny_one_a_batch_of_its_size() -> None:
    recipe = replace(load_recipe("small"), epochs=5, min_steps=200, batch=100)
    assert (recipe.steps_per_epoch(60_000), recipe.epochs_for(60_000)) == (600, 5)
    assert (recipe.steps_per_epoch(1_050), recipe.epochs_for(1_050)) == (10, 20)
    assert (recipe.steps_per_epoch(7), recipe.epochs_for(7)) == (1, 200)


def test_another_network_keeps_pretraining_and_freezing_only_where_there_are_weights() -> None:
    photos = load_recipe("photos")
    assert override(photos, None, None) == photos
    lite1 = override(photos, "efficientnet-lite1", 240)
    assert lite1 == replace(photos, network="efficientnet-lite1", height=240, width=240)
    for name in ("resnet18", "efficientnet-lite4", "mine.net:build"):
        scratch = override(photos, name, None)
        assert scratch == replace(photos, network=name, pretrained=False, frozen_share=0.0, frozen_norms=False)
    assert not override(load_recipe("small"), "efficientnet-lite0", None).pretrained
    with pytest.raises(UsageError, match="network is 'vgg'"):
        override(photos, "vgg", None)
