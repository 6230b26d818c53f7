"""Letters: noise on residue types, atom types and other classes, which have no way between them.

kappa(s) is the share of letters that noise has taken by s, from 0 to 1, each letter by itself. So
kappa' / kappa is the chance that a letter which is noise at kappa is noise still at kappa', and
1 - kappa' / kappa, the share of u that a step of a point walks, is here the chance of becoming
clean.
"""

import abc
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from geodiff.process.clocks import Clock, Linear
from geodiff.process.corruption.base import Corruption, Device
from geodiff.process.randomness import Generator
from manifolds.base import rand


@dataclass(frozen=True)
class NoisyLetters:
    """Letters of which noise has taken some.

    Args:
        x: (*batch, n) whole numbers, the letters as they are now.
        s: (*batch,).
        kappa: (*batch,), the share that noise has taken on average.
        clean: (*batch, n) whole numbers.
        taken: (*batch, n) bool, where noise stands.
    """

    x: Tensor
    s: Tensor
    kappa: Tensor
    clean: Tensor
    taken: Tensor


@dataclass(frozen=True)
class Letters(Corruption):
    """A way from clean letters to noise that takes each by itself: `Masked` or `Uniform`.

    Letters are whole numbers below `classes`, (*batch, n). Where a mask says that there is none,
    (*batch, n) bool, stands 0.

    Args:
        classes: how many letters there are.
        clock: kappa(s), the share that noise has taken by s; must end at 1.

    Raises: ValueError for less than 2 classes, and for a clock that does not end at kappa = 1.
    """

    classes: int
    clock: Clock = Linear()

    readings = ("logits",)
    discrete = True

    def __post_init__(self) -> None:
        if self.classes < 2:
            raise ValueError(f"classes: expected at least 2 letters, got {self.classes}")
        end = self.clock.kappa(1.0)
        if end.ndim or abs(float(end) - 1) > 1e-12:
            raise ValueError(
                "clock: noise must have taken every letter at s = 1, so kappa(1) = 1, got "
                f"{self.clock} with kappa(1) = {end}; use Linear()"
            )

    @property
    @abc.abstractmethod
    def states(self) -> int:
        """How many states a letter can be in, noise included."""

    @abc.abstractmethod
    def posterior(
        self, clean: Tensor, x: Tensor, start: float | Tensor, end: float | Tensor
    ) -> Tensor:
        """The exact law of each letter at a lower level, (*batch, n, states), given the letters now
        and the probabilities of its clean letter.

        Args:
            clean: probabilities, (*batch, n, classes).
            x: the letters at level start, (*batch, n).
            start: kappa now, above 0; a number, or broadcastable to (*batch, n).
            end: kappa there, at most start.
        """

    def corrupt(
        self,
        clean: Tensor,
        s: float | Tensor,
        *,
        generator: Generator = None,
        noise: Tensor | None = None,
        mask: Tensor | None = None,
        condition: Any = None,
    ) -> NoisyLetters:
        """Letters at s of which noise has taken a share of kappa(s).

        Args:
            clean: (*batch, n) whole numbers.
            s: a number or (*batch,).
            generator: a `torch.Generator`, a `Noise`, or None.
            noise: the draw of `base` to use; None draws it.
            mask: (*batch, n) bool; where it is False, 0 stays.
            condition: not looked at.
        """
        self._check(clean)
        s = torch.as_tensor(s, dtype=torch.get_default_dtype(), device=clean.device)
        s = s.expand(clean.shape[:-1])
        kappa = self.clock.kappa(s)
        taken = rand(*clean.shape, generator=generator, device=clean.device) < kappa[..., None]
        taken = taken if mask is None else taken & mask
        if noise is None:
            size, device = clean.shape, clean.device
            noise = self.base(*size, generator=generator, device=device, mask=mask)
        return NoisyLetters(torch.where(taken, noise, clean), s, kappa, clean, taken)

    def start(self, noise: Tensor, kappa: Tensor) -> Tensor:
        """The letters at level kappa that the noise makes of unknown clean ones: itself at 1.

        Args:
            noise: a draw of `base`, (*batch, n).
            kappa: the level, ().

        Raises: ValueError below 1, where some letters are clean already.
        """
        if float(kappa) != 1:
            raise ValueError(
                f"levels: letters start from noise at kappa = 1 only, got {kappa}; to start "
                "half-way, corrupt clean letters"
            )
        return noise

    def network_input(self, x: Tensor, s: Tensor) -> Tensor:
        """What a network sees of the letters: themselves.

        Args:
            x: (*batch, n).
            s: (*batch,).
        """
        return x

    def read(
        self, reading: str, output: Tensor, x: Tensor, s: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        """The probabilities of the clean letters, (*batch, n, classes), from a network's output.

        Args:
            reading: "logits".
            output: a logit for each class, (*batch, n, classes).
            x: letters, (*batch, n).
            s: (*batch,).
            mask: (*batch, n) bool, not looked at.

        Raises: ValueError for another number of logits.
        """
        if output.shape[-1] != self.classes:
            raise ValueError(
                f"network: expected a logit for each of {self.classes} letters, got "
                f"{tuple(output.shape)}; noise is no clean letter and has none"
            )
        return torch.softmax(output, -1)

    def batch_shape(self, x: Tensor) -> tuple[int, ...]:
        """The axes of x in front of a word's.

        Args:
            x: (*batch, n).
        """
        return x.shape[:-1]

    def _check(self, clean: Tensor) -> None:
        whole = not (clean.is_floating_point() or clean.is_complex() or clean.dtype == torch.bool)
        if not whole or bool(((clean < 0) | (clean >= self.classes)).any()):
            raise ValueError(
                f"clean: expected whole numbers from 0 to {self.classes - 1}, got {clean.dtype}"
                + (f" from {clean.min()} to {clean.max()}" if whole else "")
            )


@dataclass(frozen=True)
class Masked(Letters):
    """Noise covers letters; a covered one says nothing, an open one is clean and stays.

    The cover is one letter more, number `classes`. At s = 1 all are covered.
    Source: Austin et al. 2021 (D3PM), appendix A.2.2; Sahoo et al. 2024, eq. 6.
    """

    @property
    def states(self) -> int:
        return self.classes + 1

    @property
    def cover(self) -> int:
        """The number of a covered letter."""
        return self.classes

    def base(
        self,
        *size: int,
        generator: Generator = None,
        dtype: torch.dtype | None = None,
        device: Device = None,
        mask: Tensor | None = None,
        condition: Any = None,
    ) -> Tensor:
        return _masked(torch.full(size, self.cover, device=device), mask)

    def posterior(
        self, clean: Tensor, x: Tensor, start: float | Tensor, end: float | Tensor
    ) -> Tensor:
        covered = _of_each(end / start, x, clean)
        law = torch.cat([(1 - covered) * clean, covered], -1)
        stays = torch.nn.functional.one_hot(x, self.states).to(clean.dtype)
        return torch.where((x == self.cover)[..., None], law, stays)


@dataclass(frozen=True)
class Uniform(Letters):
    """Noise exchanges letters for any, all alike; one may meet itself, and none tells whether it is
    clean.

    Source: Hoogeboom et al. 2021; Austin et al. 2021 (D3PM), appendix A.2.1.
    """

    @property
    def states(self) -> int:
        return self.classes

    def base(
        self,
        *size: int,
        generator: Generator = None,
        dtype: torch.dtype | None = None,
        device: Device = None,
        mask: Tensor | None = None,
        condition: Any = None,
    ) -> Tensor:
        # In double precision: in single, 1 - 2^-24 times a large number of classes rounds up to it.
        number = rand(*size, generator=generator, dtype=torch.float64, device=device)
        return _masked((self.classes * number).long(), mask)

    def posterior(
        self, clean: Tensor, x: Tensor, start: float | Tensor, end: float | Tensor
    ) -> Tensor:
        now, then = (_of_each(kappa, x, clean) for kappa in (start, end))
        kept = (1 - now) / (1 - then).clamp(min=torch.finfo(clean.dtype).tiny)  # from then to now
        here = torch.nn.functional.one_hot(x, self.classes).to(clean.dtype)
        # Bayes for each clean letter c: q(now | then) q(then | c) / q(now | c), summed with p(c).
        weighed = clean / ((1 - now) * here + now / self.classes)
        reached = (1 - then) * weighed + then / self.classes * weighed.sum(-1, keepdim=True)
        return (kept * here + (1 - kept) / self.classes) * reached


def _of_each(number: float | Tensor, x: Tensor, like: Tensor) -> Tensor:
    """A number for each letter, (*batch, n, 1)."""
    return torch.as_tensor(number, dtype=like.dtype, device=like.device).expand(x.shape)[..., None]


def _masked(letters: Tensor, mask: Tensor | None) -> Tensor:
    return letters if mask is None else torch.where(mask, letters, 0)
