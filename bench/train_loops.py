"""Loops that fine-tune Lite0, each a process of its own: ours, and that of PyTorch's tutorial on transfer learning.

python -m bench.train_loops WAY PICTURES STEPS: for each line on stdin a loop takes STEPS steps and writes when each of
them ended, as JSON. Each has its process because what one asks of malloc would help the other.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from train.data import load_data
from train.freeze import set_training
from train.loop import begin_network, train
from train.recipe import Recipe, load_recipe
from train.vision import datasets, transforms

Moment = tuple[float, float]  # seconds: of the clock, of this process's processor time

_SIDE = 224
_PHOTOS = replace(load_recipe("photos"), shrink=0.0)  # pictures of one size in all loops
_WHOLE = replace(_PHOTOS, frozen_share=0.0, frozen_norms=False)
_MEAN, _DEVIATION = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]  # the tutorial's
_WORKERS = 4  # the tutorial's

TUTORIAL, TUTORIAL_FROZEN = "tutorial", "tutorial, frozen as photos"
PHOTOS, PHOTOS_WHOLE = "photos", "photos, whole network"
WAYS = (TUTORIAL, TUTORIAL_FROZEN, PHOTOS, PHOTOS_WHOLE)
BATCH = _PHOTOS.batch


def moment() -> Moment:
    return time.perf_counter(), time.process_time()


def take_tutorial_steps(pictures: Path, recipe: Recipe, steps: int) -> None:
    """The loop of pytorch.org/tutorials/beginner/transfer_learning_tutorial, on our network and our size of a batch."""
    change = transforms.Compose(
        [
            transforms.RandomResizedCrop(_SIDE),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(_MEAN, _DEVIATION),
        ]
    )
    images = datasets.ImageFolder(str(pictures / "train"), change)
    batches = _forever(DataLoader(images, batch_size=recipe.batch, shuffle=True, num_workers=_WORKERS))
    network = begin_network(recipe, 3, len(images.classes), (_SIDE, _SIDE))
    set_training(network, recipe.frozen_norms)
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.001, momentum=0.9)
    running_loss, running_corrects = 0.0, torch.tensor(0)
    while sys.stdin.readline():
        ends = [moment()]
        for inputs, labels in islice(batches, steps):
            optimizer.zero_grad()
            _, outputs = network(inputs)
            _, answers = torch.max(outputs, 1)
            loss = criterion(outputs, labels)
            loss.backward()
            optimizer.step()
            running_loss += loss.item() * inputs.size(0)
            running_corrects += torch.sum(answers == labels.data)
            ends.append(moment())
        _say(ends)


def take_our_steps(pictures: Path, recipe: Recipe, steps: int) -> None:
    """`train` itself, on so few pictures that an epoch has `steps` steps."""
    data = load_data(str(pictures), recipe.seed, (_SIDE, _SIDE), 3)
    few = torch.arange(steps * recipe.batch).numpy()
    data = replace(data, train=data.train.take(few))
    ends: list[Moment] = []

    def wait() -> bool:
        """Asked before each step. Whether nobody wants a further epoch."""
        if ends:
            return False
        told = sys.stdin.readline()
        ends.append(moment())
        return not told

    def tell() -> None:
        _say(ends)
        ends.clear()

    with tempfile.TemporaryDirectory() as folder:
        long = replace(recipe, epochs=10_000, min_steps=0)
        train(
            data,
            long,
            Path(folder) / "run",
            device="cpu",
            progress=lambda step, of: ends.append(moment()),
            on_epoch=lambda metrics: tell(),
            stop=wait,
        )


def _forever(loader: DataLoader[tuple[Tensor, Tensor]]) -> Iterator[tuple[Tensor, Tensor]]:
    while True:
        yield from loader


def _say(ends: list[Moment]) -> None:
    sys.stdout.write(json.dumps(ends) + "\n")
    sys.stdout.flush()


_LOOPS: dict[str, tuple[Callable[[Path, Recipe, int], None], Recipe]] = {
    TUTORIAL: (take_tutorial_steps, _WHOLE),
    TUTORIAL_FROZEN: (take_tutorial_steps, _PHOTOS),
    PHOTOS: (take_our_steps, _PHOTOS),
    PHOTOS_WHOLE: (take_our_steps, _WHOLE),
}

if __name__ == "__main__":
    torch.set_num_threads(1)
    loop, how = _LOOPS[sys.argv[1]]
    loop(Path(sys.argv[2]), how, int(sys.argv[3]))
