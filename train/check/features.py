"""Features of pictures as they come, for a classifier to be fitted in a moment: ImageNet's network's, or the pixels."""

import numpy as np
import torch
from numpy.typing import NDArray

from edge.contract.spec import ModelSpec
from edge.preprocess import prepare
from train.network import build_network, to_input
from train.pretrained import has_weights, load_pretrained

_NETWORK, _SIDE, _BATCH = "efficientnet-lite0", 224, 16
_PLAIN_SIDE = 32  # of the pixels that stand for features where there are no ImageNet weights


class Features:
    """Of one picture after the other; a batch at a time goes through the network."""

    def __init__(self, side: int = _SIDE, ways: int = 1) -> None:
        """side: of what the network sees, in pixels. ways: 4 for each picture as it is and after each quarter turn."""
        self._network = None
        self._ways = ways
        if has_weights(_NETWORK):
            self._network = build_network(_NETWORK, 3, 1000, (side, side)).eval()
            load_pretrained(self._network, _NETWORK)
        else:
            side = _PLAIN_SIDE
        self._spec = ModelSpec("", side, side, 3, 1, 1000)
        self._waiting: list[NDArray[np.uint8]] = []
        self._rows: list[NDArray[np.float32]] = []

    @property
    def made_by(self) -> str:
        return f"{_NETWORK} with ImageNet's weights" if self._network is not None else "plain pixels"

    def see(self, pixels: NDArray[np.uint8]) -> None:
        """pixels: any size, grey or BGR."""
        square = prepare(pixels, self._spec)
        self._waiting += [np.ascontiguousarray(np.rot90(square, way)) for way in range(self._ways)]
        if len(self._waiting) >= _BATCH:
            self._compute()

    def all(self) -> NDArray[np.float32]:
        """(N * ways, D), a row for each way of each picture that was seen."""
        if self._waiting:
            self._compute()
        return np.concatenate(self._rows) if self._rows else np.empty((0, 1), np.float32)

    @torch.no_grad()
    def _compute(self) -> None:
        values = to_input(torch.from_numpy(np.stack(self._waiting)))
        features = self._network(values)[0] if self._network is not None else values.flatten(1)
        self._rows.append(features.numpy())
        self._waiting.clear()
