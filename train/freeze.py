"""How much of a pretrained network stays: its first layers, its batch norms' statistics, and slower earlier layers."""

from itertools import accumulate

from torch import nn


def freeze(network: nn.Module, share: float) -> None:
    """Takes the first `share` (0 to below 1, rounded down) of the layers with weights out of training.

    Layers count in the order in which the network registers them, from the input on; a batch norm goes with the
    convolution before it. As nothing before it wants a gradient, autograd records nothing there: a forward is all it
    costs.
    """
    parameters = list(network.parameters())
    weights = [index for index, parameter in enumerate(parameters) if parameter.ndim > 1]
    if not weights:
        return
    for parameter in parameters[: weights[int(share * len(weights))]]:
        parameter.requires_grad_(False)


def layer_shares(network: nn.Module, decay: float) -> list[float]:
    """Of the learning rate, what each parameter's layer gets: the last all of it, each before it `decay` times as much.

    In the order of `network.parameters()`; layers count as in `freeze`. (Layer-wise decay: arXiv 2003.10555, A.)
    """
    layers = list(accumulate(int(parameter.ndim > 1) for parameter in network.parameters()))
    return [decay ** (layers[-1] - layer) for layer in layers]


def set_training(network: nn.Module, frozen_norms: bool) -> None:
    """Training mode, but for the batch norms that keep their statistics: all, or those of frozen layers."""
    network.train()
    for module in network.modules():
        if isinstance(module, (nn.BatchNorm2d, nn.SyncBatchNorm)):
            frozen = module.weight is not None and not module.weight.requires_grad
            module.train(not (frozen_norms or frozen))
