"""Recipes: YAML in, one checked record out."""

import inspect
from dataclasses import fields, replace
from pathlib import Path

import pytest

from edge.contract.errors import UsageError
from train.augment import Augmentation
from train.recipe import Recipe, load_recipe, override, parse_recipe, recipe_text
from train.verbs import train

TEXT = recipe_text(load_recipe("small"))


def test_a_recipe_survives_its_yaml_form() -> None:
    recipe = replace(load_recipe("small"), epochs=3, learning_rate=1e-5, seed=7)
    assert parse_recipe(recipe_text(recipe), "text") == recipe


def test_a_recipe_is_found_by_name_or_by_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(TEXT)
    assert load_recipe(str(path)) == load_recipe("small")


def test_a_recipe_that_is_not_there_is_refused_with_the_known_names() -> None:
    with pytest.raises(UsageError, match="there is no recipe 'nope'; expected a readable YAML file, or one of digits"):
        load_recipe("nope")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("momentum:", "momentun:", "the unknown field 'momentun'"),
        ("  degrees:", "  degree:", "augmentation has the unknown field 'degree'"),
        ("batch:", "# batch:", "no field 'batch'"),
        ("mixup: 0.0", "mixup: 11", "mixup is 11; expected mixup 0 to 10"),
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


@pytest.mark.parametrize(
    ("shrink", "side", "left"), [(0.0, 224, 224), (0.3, 224, 160), (0.3, 260, 196), (0.3, 96, 96), (0.5, 32, 32)]
)
def test_pictures_shrink_by_whole_strides_but_not_in_the_last_quarter_of_epochs(
    shrink: float, side: int, left: int
) -> None:
    recipe = replace(load_recipe("photos"), shrink=shrink)
    sizes = [recipe.train_size((side, 32), epoch, 7) for epoch in range(7)]
    assert sizes == 5 * [(left, 32)] + 2 * [(side, 32)]
    assert recipe.train_size((side, side), 0, 1) == (side, side)
    with pytest.raises(UsageError, match=r"shrink is 0\.6"):
        replace(recipe, shrink=0.6)


def test_another_network_keeps_pretraining_and_freezing_only_where_there_are_weights() -> None:
    photos = load_recipe("photos")
    assert override(photos, {"network": None, "height": None}) == photos
    lite1 = override(photos, {"network": "efficientnet-lite1", "height": 240, "width": 240})
    assert lite1 == replace(photos, network="efficientnet-lite1", height=240, width=240)
    for name in ("resnet18", "efficientnet-lite4", "mine.net:build"):
        scratch = override(photos, {"network": name})
        assert scratch == replace(photos, network=name, pretrained=False, frozen_share=0.0, frozen_norms=False)
    assert override(photos, {"network": "resnet18", "frozen_norms": True}).frozen_norms
    assert not override(load_recipe("small"), {"network": "efficientnet-lite0"}).pretrained
    with pytest.raises(UsageError, match="network is 'vgg'"):
        override(photos, {"network": "vgg"})


def test_epochs_that_are_named_are_just_so_many_unless_steps_are_named_too() -> None:
    small = load_recipe("small")
    assert override(small, {"epochs": 3}).epochs_for(200) == 3
    assert override(small, {"epochs": 3, "min_steps": 10}).epochs_for(200) == 10
    assert override(small, {"min_steps": 0}).epochs_for(200) == small.epochs


def test_strengths_of_the_augmentation_are_overridden_like_other_fields() -> None:
    small = load_recipe("small")
    found = override(small, {"flip": 0.5, "learning_rate": 0.01, "degrees": None})
    assert found == replace(small, learning_rate=0.01, augmentation=replace(small.augmentation, flip=0.5))
    with pytest.raises(UsageError, match=r"augmentation\.flip is 2"):
        override(small, {"flip": 2})


def test_fields_with_a_default_may_be_left_out() -> None:
    without = TEXT.replace("mixup: 0.0\n", "").replace("  flip: 0.0\n", "")
    assert without != TEXT
    assert parse_recipe(without, "text") == load_recipe("small")


@pytest.mark.parametrize("name", ["photos", "photos-few", "photos-large", "small"])
def test_the_recipes_that_come_along_are_whole(name: str) -> None:
    assert parse_recipe(recipe_text(load_recipe(name)), "text") == load_recipe(name)


def test_every_field_is_a_flag_by_its_name_that_nobody_has_to_type() -> None:
    flags = {flag.name: flag for flag in inspect.signature(train).parameters.values()}
    wanted = [field.name for record in (Recipe, Augmentation) for field in fields(record)]
    assert {"epochs", "learning_rate", "flip"} <= flags.keys()
    assert {name: flags[name].default for name in wanted if name != "augmentation"} == {
        name: None for name in wanted if name != "augmentation"
    }
