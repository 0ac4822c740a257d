"""The first convolution of the u8 file, computed on blocks of four pixels: the same sums in a third of the time.

onnxruntime's fast integer convolution wants input channels in multiples of four; one or three take its slow path, which
made the stem 15 % of EfficientNet-Lite0's time (scripts/profile_layers.py). So four neighbours in a row become
one pixel of four times the channels, a mere reshape of (N, H, W, C), and a stride of 2 becomes two sets of output
channels, one for each of the two outputs that start in a block. Weights outside the window are 0: the sums stay.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from quantize.integers import IntegerConv, Integers
from quantize.plan import INPUT

BLOCK = 4  # pixels
STRIDE = 2
_OUTPUTS = BLOCK // STRIDE  # of a block


@dataclass(frozen=True)
class Window:
    """Where the single pixels' kernel lies: what a file must say to be read back."""

    kernel: int  # width
    left: int  # zeros before the row


def first_convolution(integers: Integers, height: int, width: int) -> IntegerConv | None:
    """The convolution that can be computed on blocks of the pixels (N, height, width, C), if there is one."""
    readers = [layer for layer in integers.layers if INPUT in layer.sources]
    layer = readers[0]
    if len(readers) != 1 or not isinstance(layer, IntegerConv):
        return None
    geometry, kernel = layer.geometry, layer.weight.shape[3]
    outputs = (width + geometry.pads[1] + geometry.pads[3] - kernel) // STRIDE + 1
    fits = geometry.stride[1] == STRIDE and geometry.dilation == (1, 1) and geometry.groups == 1
    return layer if fits and width % BLOCK == 0 and outputs * STRIDE == width else None


def window_of(layer: IntegerConv) -> Window:
    return Window(layer.weight.shape[3], layer.geometry.pads[1])


def to_blocks(layer: IntegerConv) -> IntegerConv:
    """The same convolution with 4 C input channels, 2 O output channels and a horizontal stride of one block."""
    window, geometry = window_of(layer), layer.geometry
    before, columns = _columns(window)
    outputs, channels, high, _ = layer.weight.shape
    weight = np.zeros((_OUTPUTS, outputs, columns, BLOCK, channels, high), np.int8)
    for start in range(_OUTPUTS):
        for x in range(window.kernel):
            column, pixel = _place(window, start, x)
            weight[start, :, column, pixel] = layer.weight[:, :, :, x]
    top, _, bottom, _ = geometry.pads
    # (start, out, column, pixel, channel, row) -> (start out, pixel channel, row, column)
    return replace(
        layer,
        weight=weight.transpose(0, 1, 3, 4, 5, 2).reshape(_OUTPUTS * outputs, BLOCK * channels, high, columns),
        weight_scale=np.tile(layer.weight_scale, _OUTPUTS),
        bias=np.tile(layer.bias, _OUTPUTS),
        bias_scale=np.tile(layer.bias_scale, _OUTPUTS),
        geometry=replace(geometry, stride=(geometry.stride[0], 1), pads=(top, before, bottom, columns - 1 - before)),
    )


def from_blocks(layer: IntegerConv, window: Window, right: int) -> IntegerConv:
    """The convolution on single pixels that `to_blocks` was given; `right`: its zeros behind the row."""
    outputs, channels = layer.weight.shape[0] // _OUTPUTS, layer.weight.shape[1] // BLOCK
    high, columns = layer.weight.shape[2:]
    blocks = layer.weight.reshape(_OUTPUTS, outputs, BLOCK, channels, high, columns)
    weight = np.empty((outputs, channels, high, window.kernel), np.int8)
    for x in range(window.kernel):
        column, pixel = _place(window, 0, x)
        weight[:, :, :, x] = blocks[0, :, pixel, :, :, column]
    top, _, bottom, _ = layer.geometry.pads
    return replace(
        layer,
        weight=weight,
        weight_scale=layer.weight_scale[:outputs],
        bias=layer.bias[:outputs],
        bias_scale=layer.bias_scale[:outputs],
        geometry=replace(
            layer.geometry, stride=(layer.geometry.stride[0], STRIDE), pads=(top, window.left, bottom, right)
        ),
    )


def blocked_shape(height: int, width: int, channels: int) -> NDArray[np.int64]:
    """Of the pixels as blocks: (N, height, width / 4, 4 C)."""
    return np.array([-1, height, width // BLOCK, BLOCK * channels], np.int64)


def _columns(window: Window) -> tuple[int, int]:
    """Blocks before the first pixel's own that the kernel reaches, and how many it spans in all."""
    first = -window.left // BLOCK
    last = (STRIDE * (_OUTPUTS - 1) - window.left + window.kernel - 1) // BLOCK
    return -first, last - first + 1


def _place(window: Window, start: int, x: int) -> tuple[int, int]:
    """Column and pixel in it of the kernel's x for the output that is `start` further."""
    before, _ = _columns(window)
    return divmod(STRIDE * start - window.left + x + BLOCK * before, BLOCK)
