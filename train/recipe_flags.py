"""A flag for each field of a recipe and of its augmentation, by the same name."""

import inspect
from collections.abc import Callable, Iterator
from typing import Annotated, get_args, get_type_hints

import typer

from edge.contract.results import Outcome
from train.augment import Augmentation
from train.recipe import Recipe

Verb = Callable[..., Outcome]


def with_recipe_flags(verb: Verb) -> Verb:
    """`verb`, which takes **given, with these flags in its signature. Those that nobody typed come as None."""
    signature = inspect.signature(verb)
    own = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    verb.__signature__ = signature.replace(parameters=[*own, *_flags()])  # type: ignore[attr-defined]
    return verb


def _flags() -> Iterator[inspect.Parameter]:
    for record in (Recipe, Augmentation):
        for name, hint in get_type_hints(record, include_extras=True).items():
            if hint is not Augmentation:
                kind, told = get_args(hint)
                flag = Annotated[kind | None, typer.Option(help=told)]  # type: ignore[valid-type]
                yield inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=flag)
