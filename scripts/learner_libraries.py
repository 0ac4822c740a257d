"""Are the peers of `edgewise bench learning` as good as their libraries' own code?

.venv/bin/python scripts/learner_libraries.py RUNS DATA [DRAWS]

RUNS and DATA as for the bench. Deep SLDA and replay of Avalanche 0.6.0, softmax regression of River 0.26.1, in the same
draws of TrashNet 5+1 and with the same rule for the offset as bench/learners.py's few lines. Needs both libraries:
pip install --no-deps avalanche-lib==0.6.0 river==0.26.1, then what an import says is missing (their requirements would
replace the CPU's torch).
"""

import copy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import train.vision  # noqa: F401  Avalanche imports torchvision, which wants this door beside a CPU's torch
from bench.contest import Outcome, ours, peer, teach
from bench.features import load_features
from bench.learners import Fit, Score, deep_slda, replay, softmax_sgd
from bench.tasks import Part, Task, draw, trashnet

SHOTS = (5, 10, 20)
FIRST_SEED = 1000  # the bench's


def main() -> None:
    runs, data = Path(sys.argv[1]), Path(sys.argv[2])
    draws = int(sys.argv[3]) if len(sys.argv) > 3 else 5
    task = trashnet(load_features(runs, data, lambda *_: None))
    peers = (deep_slda, avalanche_slda, replay, avalanche_replay, softmax_sgd, river_softmax)
    fits = {learner.__name__: learner(task) for learner in peers}
    for shots in SHOTS:
        its = [draw(task, shots, FIRST_SEED + number) for number in range(draws)]
        print(f"{shots} shots, ours: {told([ours(task, teach(task, examples)) for examples in its])}", flush=True)
        for name, fit in fits.items():
            print(f"{shots} shots, {name}: {told([peer(task, fit, examples) for examples in its])}", flush=True)


def told(found: list[Outcome]) -> str:
    harmonic, cost = (100 * np.array([getattr(one, of) for one in found]) for of in ("harmonic", "cost"))
    return f"harmonic mean {harmonic.mean():.1f} ± {harmonic.std():.1f}, known classes lose {cost.mean():.1f}"


def avalanche_slda(task: Task) -> Fit:
    """Avalanche's StreamingLDA: the known classes' rows by its fit_base, then the examples one by one."""
    from avalanche.training.supervised import StreamingLDA

    def begun(part: Part) -> Any:
        learner = StreamingLDA(
            slda_model=torch.nn.Identity(),
            criterion=torch.nn.CrossEntropyLoss(),
            input_size=part.x.shape[1],
            num_classes=len(task.labels),
            evaluator=None,
        )
        learner.fit_base(torch.from_numpy(part.x), torch.from_numpy(part.targets))
        return learner

    known_learners = {id(part): begun(part) for part in (task.train, task.sample)}

    def fit(examples: Part, known: Part) -> Score:
        learner = copy.deepcopy(known_learners[id(known)])
        for row, target in zip(torch.from_numpy(examples.x), torch.from_numpy(examples.targets), strict=True):
            learner.fit(row[None], target[None])
        return lambda x: learner.predict(torch.from_numpy(x)).numpy().astype(np.float64)

    return fit


def avalanche_replay(task: Task) -> Fit:
    """Avalanche's Replay of a linear layer that starts from the trained classifier; its buffer is as large as ours."""
    from avalanche.benchmarks import tensors_benchmark
    from avalanche.training.supervised import Replay

    length = float(np.linalg.norm(task.train.x, axis=1).mean())

    def fit(examples: Part, known: Part) -> Score:
        layer = torch.nn.Linear(known.x.shape[1], len(task.labels))
        with torch.no_grad():
            layer.weight.zero_()
            layer.bias.zero_()
            layer.weight[: task.known] = torch.from_numpy(task.base.weights.T * length)
            layer.bias[: task.known] = torch.from_numpy(task.base.bias)
        parts = [_tensors(known, length), _tensors(examples, length)]
        stream = tensors_benchmark(train_tensors=parts, test_tensors=parts[1:], task_labels=[0, 0]).train_stream
        learner = Replay(
            model=layer,
            optimizer=torch.optim.SGD(layer.parameters(), lr=0.1),
            criterion=torch.nn.CrossEntropyLoss(),
            mem_size=20 * task.known,
            train_mb_size=16,
            train_epochs=1,
            evaluator=None,
        )
        torch.manual_seed(0)
        learner.train(stream[0])
        learner.train_epochs = max(1, 200 * 16 // (20 * task.known))  # 200 batches, each half of the buffer
        learner.train(stream[1])
        layer.eval()
        return lambda x: layer(torch.from_numpy(x / np.float32(length))).detach().numpy().astype(np.float64)

    return fit


def _tensors(part: Part, length: float) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(part.x / np.float32(length)), torch.from_numpy(part.targets)


def river_softmax(task: Task) -> Fit:
    """River's SoftmaxRegression over standardised features, one by one: the known classes' rows, then the examples."""
    from river.linear_model import SoftmaxRegression
    from river.optim import SGD

    mean, off = task.train.x.mean(axis=0), task.train.x.std(axis=0) + 1e-6
    names = list(range(task.train.x.shape[1]))

    def rows(x: NDArray[np.float32]) -> list[dict[int, float]]:
        return [dict(zip(names, row.tolist(), strict=True)) for row in (x - mean) / off]

    def taught(model: Any, part: Part) -> Any:
        order = np.random.default_rng(0).permutation(len(part.targets))
        for row, target in zip(rows(part.x[order]), part.targets[order].tolist(), strict=True):
            model.learn_one(row, target)
        return model

    known_models = {id(part): taught(SoftmaxRegression(SGD(0.001)), part) for part in (task.train, task.sample)}

    def fit(examples: Part, known: Part) -> Score:
        model = taught(copy.deepcopy(known_models[id(known)]), examples)

        def score(x: NDArray[np.float32]) -> NDArray[np.float64]:
            found = [model.predict_proba_one(row) for row in rows(x)]
            shares = np.array([[each.get(c, 0.0) for c in range(len(task.labels))] for each in found])
            return np.asarray(np.log(np.maximum(shares, 1e-12)), np.float64)

        return score

    return fit


if __name__ == "__main__":
    main()
