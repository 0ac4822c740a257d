"""Keeping a part of a pretrained network as it is: its first layers, and the statistics of its batch norms."""

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


def set_training(network: nn.Module, frozen_norms: bool) -> None:
    """Training mode, but for the batch norms that keep their statistics: all, or those of frozen layers."""
    network.train()
    for module in network.modules():
        if isinstance(module, (nn.BatchNorm2d, nn.SyncBatchNorm)):
            frozen = module.weight is not None and not module.weight.requires_grad
            module.train(not (frozen_norms or frozen))
