"""Langevin moves at each level, which draw the state towards the law there: annealed Langevin, and
predictor-corrector.
"""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from geodiff.process.samplers.base import (
    Displacement,
    Interval,
    Run,
    Stepper,
    euler_step,
    like,
    scaled,
)
from geodiff.process.samplers.exponential_euler import ExponentialEuler


@dataclass(frozen=True)
class Langevin(Stepper):
    """A predictor's step to the next level, then moves x' = Exp_x(size u), and noise of level kappa
    sqrt(size (2 - size)), that keep the law there.

    The law is kept up to an error of order `size`; exactly where there is one clean point and the
    space is flat. As u / kappa^2 is the score, size is Langevin's step in units of kappa^2. The
    noise is added as the corruption adds it, so the run must know one, and one with a score. One
    call a move beside the predictor's; to kappa = 0 there are no moves, and without a predictor
    exponential Euler. The predictor remembers nothing from step to step.

    Args:
        moves: at each level, at least 1.
        size: in (0, 1].
        predictor: crosses the interval first; None is annealed Langevin.

    Raises: ValueError for numbers outside their range.
    Source: Song and Ermon 2019, algorithm 1; Song et al. 2021 (SDE), algorithm 1.
    """

    moves: int = 1
    size: float = 0.1
    predictor: Stepper | None = ExponentialEuler()

    def __post_init__(self) -> None:
        if self.moves < 1:
            raise ValueError(f"moves: expected at least 1, got {self.moves}")
        if not 0 < self.size <= 1:
            raise ValueError(f"size: expected a number in (0, 1], got {self.size}")

    @property
    def needs_score(self) -> bool:
        return True

    def step(
        self, run: Run, u: Displacement, x: Tensor, interval: Interval, memory: Any
    ) -> tuple[Tensor, Any]:
        if self.predictor is not None:
            x = self.predictor.step(run, u, x, interval, None)[0]
        elif interval.ends_clean:
            x = euler_step(run.manifold, u(x, interval.start), x, interval)
        if interval.ends_clean:
            return x, None
        assert run.corruption is not None  # check_score has seen to it
        added = like(interval.end * (self.size * (2 - self.size)) ** 0.5, x)
        for _ in range(self.moves):
            x = run.manifold.exp(x, scaled(self.size, u(x, interval.end)))
            x = run.corruption.diffuse(x, added, generator=run.generator, mask=run.mask)
        return x, None
