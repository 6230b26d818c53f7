"""The order in which items are trained on."""

from collections.abc import Iterator, Sequence

import torch
from torch.utils.data import Sampler


class BucketSampler(Sampler[list[int]]):
    """Batches of items of similar size: shuffled, sorted within pools of 50 batches, batches
    shuffled again.

    The epoch's order depends on (seed, epoch) alone, so a place in it is a number of batches: see
    `go_to`. Of `ranks` processes each takes its own batch in every step, of about one size;
    together they take each item once.

    Args:
        sizes: of the items.
        batch_size: items in a batch, at most.
        seed: of the order.
        shuffle: False keeps the order of the items but for their sizes.
        pair_budget: items x largest size^2 of a batch, at most; None for any.
        rank: the number of this process.
        ranks: how many processes.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        batch_size: int,
        seed: int = 0,
        shuffle: bool = True,
        pair_budget: int | None = None,
        rank: int = 0,
        ranks: int = 1,
    ):
        self.sizes = torch.as_tensor(sizes)
        self.batch_size, self.seed, self.shuffle = batch_size, seed, shuffle
        self.pair_budget = pair_budget
        self.rank, self.ranks = rank, ranks
        self.epoch, self._first = 0, 0
        self._length = len(self._steps(0))

    def go_to(self, step: int) -> None:
        """Let the next iteration begin where a run stands after `step` steps, of one batch for each
        rank.

        Args:
            step: of the run, from 0.
        """
        self.epoch, self._first = divmod(step, self._length)

    @property
    def sampler(self) -> "BucketSampler":
        """This, where Lightning looks for what to tell the epoch."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Let the next iteration be of this epoch; Lightning calls it at the start of each.

        A place inside an epoch, see `go_to`, is not given up for its start.

        Args:
            epoch: from 0.
        """
        if epoch != self.epoch:
            self.epoch, self._first = epoch, 0

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[list[int]]:
        steps = self._steps(self.epoch)
        # The count of budgeted batches varies a little with the order; Lightning wants one length.
        steps += steps[: max(0, self._length - len(steps))]
        yield from (batches[self.rank] for batches in steps[self._first : self._length])

    def _steps(self, epoch: int) -> list[list[list[int]]]:
        """For each step of the epoch, the batch of each rank."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        count = len(self.sizes)
        order = torch.randperm(count, generator=generator) if self.shuffle else torch.arange(count)
        batches: list[list[int]] = []
        for pool in order.split(50 * self.batch_size):
            pool = pool[self.sizes[pool].argsort(stable=True)]
            batch: list[int] = []
            for i in pool.tolist():
                largest = int(self.sizes[i])  # ascending within the pool
                over = (
                    self.pair_budget is not None
                    and (len(batch) + 1) * largest**2 > self.pair_budget
                )
                if batch and (len(batch) == self.batch_size or over):
                    batches.append(batch)
                    batch = []
                batch.append(i)
            if batch:
                batches.append(batch)
        batches = self._divisible(batches)
        steps = [batches[i : i + self.ranks] for i in range(0, len(batches), self.ranks)]
        if self.shuffle:
            steps = [steps[i] for i in torch.randperm(len(steps), generator=generator).tolist()]
        return steps

    def _divisible(self, batches: list[list[int]]) -> list[list[int]]:
        """As many batches as every rank has the same number of: the largest are halved, or at last
        one is repeated.
        """
        for _ in range(-len(batches) % self.ranks):
            place = max(range(len(batches)), key=lambda i: len(batches[i]))
            batch = batches[place]
            half = len(batch) // 2 if len(batch) > 1 else 1
            batches[place : place + 1] = [batch[:half], batch[half:] or batch]
        return batches
