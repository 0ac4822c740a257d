"""The integer grids: int8 with zero point 0 and a scale, as TensorRT wants them."""

from quantize.plan import Activation

CODE_MAX = 127
SHIFT = 128  # between the steps of an unsigned tensor, 0 to 255, and its int8 codes
UNSIGNED_MAX = 255
INPUT_SCALE = 1 / 128  # (byte - 128) / 128: a pixel's code is the pixel minus 128, exactly


def code_range(activation: Activation, scale: float) -> tuple[int, int]:
    """Lowest and highest code of a tensor behind `activation`."""
    if activation == "none":
        return -CODE_MAX - 1, CODE_MAX
    return 0, CODE_MAX if activation == "relu" else min(CODE_MAX, round(6 / scale))
