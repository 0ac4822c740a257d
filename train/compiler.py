"""What torch.compile cannot do, in a line."""

from collections.abc import Iterator
from contextlib import contextmanager

from edge.contract.errors import UsageError

_COMPILERS = ("torch._dynamo", "torch._inductor", "triton")


@contextmanager
def compiler_errors() -> Iterator[None]:
    """Raises UsageError for what the compiler cannot do, within."""
    try:
        yield
    except Exception as error:
        if not type(error).__module__.startswith(_COMPILERS):
            raise
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise UsageError(
            f"torch.compile failed ({reason})", "a C++ compiler, and Triton for a GPU", "train without --compile"
        ) from error
