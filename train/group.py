"""The processes that train together, each on its share of every batch; a training by itself is a group of one."""

import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.distributed import PrefixStore  # type: ignore[attr-defined]
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel

from edge.contract.errors import EdgewiseError

_FROM_GLOO = "gloo/transport/"  # in the text of a RuntimeError: all that tells a lost connection from other failures


@dataclass(frozen=True)
class Group:
    """What a process knows of the others. Every method but `share` and `own_seed` is to be called by all of them."""

    rank: int = 0  # from 0 on; the first one writes and speaks
    size: int = 1
    local_rank: int = 0  # among those of this machine: the number of its GPU

    @property
    def first(self) -> bool:
        return self.rank == 0

    def share(self, items: NDArray[np.generic]) -> NDArray[np.generic]:
        """This process's of `items`, whose order all know: every size-th one."""
        return items[self.rank :: self.size]

    def own_seed(self, seed: int) -> int:
        """For what each process draws for itself. The first one draws as it would alone."""
        return seed if self.first else int(np.random.SeedSequence((seed, self.rank)).generate_state(1)[0])

    def total(self, value: float) -> float:
        """The sum of every process's `value`."""
        if self.size == 1:
            return value
        summed = torch.tensor(value, dtype=torch.float64)
        dist.all_reduce(summed)
        return summed.item()

    def any(self, said: bool) -> bool:
        """Whether one of them says so: then all of them know it, at the same step."""
        return self.total(float(said)) > 0

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Puts the mean over the processes into each. Equal ones stay as they are: their sum in float64 is exact."""
        if self.size == 1:
            return
        for tensor in tensors:
            summed = tensor.double()
            dist.all_reduce(summed)
            tensor.copy_(summed / self.size)

    def wait(self) -> None:
        """Until all of them are here."""
        self.total(0.0)

    def wrap(self, network: nn.Module) -> nn.Module:
        """`network`, whose gradients after a backward are the mean over the processes."""
        if self.size == 1:
            return network
        with warnings.catch_warnings():  # 2.13 has a new name for broadcast_buffers, which 2.6 does not know
            warnings.simplefilter("ignore", FutureWarning)
            # statistics of batch norms are averaged after an epoch, rather than copied from the first at every step
            return DistributedDataParallel(network, broadcast_buffers=False)


ALONE = Group()


def keep_gradients(wrapped: nn.Module, last: bool) -> AbstractContextManager[None]:
    """For a backward whose gradients are only added up, to be sent with those of the `last` one."""
    if isinstance(wrapped, DistributedDataParallel) and not last:
        return wrapped.no_sync()
    return nullcontext()


@contextmanager
def joined() -> Iterator[Group]:
    """The group that `torchrun` started this process in: gloo among CPUs, NCCL among GPUs. Else a group of one.

    Raises EdgewiseError where another process of the group has ended before its time.
    """
    if not dist.is_torchelastic_launched():
        yield ALONE
        return
    store, rank, size = next(rendezvous("env://"))
    # The store outlives a restart under torchrun --standalone, and with it the addresses of the dead.
    life = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")  # set by torchrun, as all that `env://` reads
    dist.init_process_group(store=PrefixStore(f"life{life}", store), rank=rank, world_size=size)
    try:
        yield Group(rank, size, dist.get_node_local_rank())
    except RuntimeError as error:
        if not isinstance(error, dist.DistError) and _FROM_GLOO not in str(error):
            raise
        raise EdgewiseError(
            f"process {rank} of {size} lost its connection to another one",
            "all of them to the end",
            "torchrun starts them again as often as its --max-restarts says, and --resume goes on from the last whole "
            "epoch; why the other one ended is in the log, unless it was killed",
        ) from error
    # After an error this is not reached: the others may be in a call that never ends, and torchrun ends them all.
    dist.destroy_process_group()
