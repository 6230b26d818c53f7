"""What `coverage` measured: molecules, means and intervals, with every choice that shapes them."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np

MEASURES = ("cov_r", "amr_r", "cov_p", "amr_p")
_TITLES = {"cov_r": "COV-R", "amr_r": "AMR-R", "cov_p": "COV-P", "amr_p": "AMR-P"}

SCORED = "scored"
MODEL_FAILURE = "no conformers"  # COV 0, no AMR
ADDITIONAL_FAILURE = "not comparable"  # RMSD undefined: COV 0, no AMR
SKIPPED = "no reference"  # nothing to compare with; in no mean
DROPPED = "dropped"  # by the rules of protocol B; in no mean


@dataclass(frozen=True)
class Summary:
    """Mean and median over molecules; nan if there is none."""

    mean: float  # over molecules
    median: float  # over molecules


@dataclass(frozen=True)
class Interval:
    """A mean over molecules with its 95 % bootstrap interval."""

    mean: float  # over molecules
    low: float  # 2.5 % of the bootstrap means
    high: float  # 97.5 % of them
    molecules: int  # how many have a value

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class MoleculeCoverage:
    """The four measures of one molecule. Shares are in [0, 1], AMR in angstrom; nan where
    undefined.
    """

    name: str  # of the molecule
    state: str  # SCORED, MODEL_FAILURE, ADDITIONAL_FAILURE, SKIPPED or DROPPED
    references: int  # L that was compared, after cleaning
    references_given: int  # L before cleaning
    generated: int  # K
    cov_r: float  # share of references that are covered
    amr_r: float  # mean smallest RMSD of references
    cov_p: float  # share of generated conformers that are covered
    amr_p: float  # mean smallest RMSD of generated conformers
    # the search for symmetries stopped at its limit: RMSDs are upper bounds
    truncated: bool = False
    reason: str = ""  # of a state other than SCORED
    # (L,): smallest RMSD of each reference to a generated conformer
    from_reference: np.ndarray = field(default=None, repr=False, compare=False)
    # (K,): smallest RMSD of each generated conformer to a reference
    from_generated: np.ndarray = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class CoverageRecord:
    """Coverage of a set of molecules, and the choices it was made with. Shares in [0, 1], AMR in
    angstrom.
    """

    molecules: tuple[MoleculeCoverage, ...]  # one each, in order
    threshold: float  # delta, angstrom
    protocol: str  # "A" or "B"
    strict: bool  # True: covered means RMSD < delta; False: RMSD <= delta
    cleaned: str  # how references were cleaned, in words
    symmetrize: bool  # conjugated terminal groups count as symmetric
    max_matches: int  # limit of the search for symmetries
    rdkit_version: str  # whose RMSD was compared

    @property
    def cov_r(self) -> Summary:
        return self.summary("cov_r")

    @property
    def amr_r(self) -> Summary:
        return self.summary("amr_r")

    @property
    def cov_p(self) -> Summary:
        return self.summary("cov_p")

    @property
    def amr_p(self) -> Summary:
        return self.summary("amr_p")

    @property
    def failures(self) -> int:
        """Molecules without any generated conformer. They add 0 to both COV and nothing to AMR."""
        return self._count(MODEL_FAILURE)

    @property
    def additional_failures(self) -> int:
        """Molecules whose conformers cannot be compared: another graph, coordinates that are not
        finite.
        """
        return self._count(ADDITIONAL_FAILURE)

    @property
    def skipped(self) -> int:
        """Molecules without reference conformers, given or left after cleaning; they count
        nowhere.
        """
        return self._count(SKIPPED)

    @property
    def dropped(self) -> int:
        """Molecules that protocol B leaves out: fewer than 2 L samples, or more than one
        fragment.
        """
        return self._count(DROPPED)

    @property
    def truncated(self) -> int:
        """Molecules with more symmetries than `max_matches`: their RMSDs are upper bounds."""
        return sum(m.truncated for m in self.molecules)

    @property
    def counted(self) -> tuple[MoleculeCoverage, ...]:
        """The molecules that enter the means: scored ones and failures."""
        return tuple(m for m in self.molecules if m.state not in (SKIPPED, DROPPED))

    def values(self, measure: str) -> dict[str, float]:
        """Value of a measure by molecule name; the AMR of a failure is nan.

        Args:
            measure: one of MEASURES.
        """
        _check_measure(measure)
        return {m.name: getattr(m, measure) for m in self.counted}

    def summary(self, measure: str) -> Summary:
        """Mean and median of a measure over molecules, nan left out.

        Args:
            measure: one of MEASURES.
        """
        values = finite(self.values(measure).values())
        if not len(values):
            return Summary(np.nan, np.nan)
        return Summary(float(values.mean()), float(np.median(values)))

    def interval(self, measure: str, *, resamples: int = 5_000, seed: int = 0) -> Interval:
        """Mean of a measure with its 95 % percentile bootstrap interval over molecules, nan left
        out.

        Args:
            measure: one of MEASURES.
            resamples: of the bootstrap.
            seed: of the bootstrap.
        """
        return bootstrap(finite(self.values(measure).values()), resamples, seed)

    def at(self, threshold: float) -> "CoverageRecord":
        """The same ensembles at another threshold, without a new alignment.

        Args:
            threshold: delta, angstrom.
        """
        molecules = tuple(
            replace(
                m,
                cov_r=share(m.from_reference, threshold, self.strict),
                cov_p=share(m.from_generated, threshold, self.strict),
            )
            if m.state == SCORED
            else m
            for m in self.molecules
        )
        return replace(self, molecules=molecules, threshold=checked_threshold(threshold))

    def table(self) -> str:
        """The numbers, one measure a line, and below them every choice they were made with."""
        sign = "<" if self.strict else "<="
        lines = [f"{'':9}{'mean':>8}{'median':>9}   95 % of the mean"]
        for measure in MEASURES:
            scale, unit, digits = (100, "%", 1) if measure.startswith("cov") else (1, "A", 3)
            both, spread = self.summary(measure), self.interval(measure)
            lines.append(
                f"{_TITLES[measure] + ' ' + unit:9}{scale * both.mean:8.{digits}f}"
                f"{scale * both.median:9.{digits}f}   {scale * spread.low:.{digits}f} to "
                f"{scale * spread.high:.{digits}f}"
            )
        given = sum(m.references_given for m in self.molecules)
        kept = sum(m.references for m in self.molecules)
        lines += [
            f"molecules     {len(self.counted)} counted of {len(self.molecules)}; failures "
            f"{self.failures} without conformers, {self.additional_failures} not comparable",
            "              (failures: COV 0, left out of AMR); "
            f"skipped {self.skipped} without reference; dropped {self.dropped}",
            f"conformers    L {kept} of {given} reference, "
            f"K {sum(m.generated for m in self.counted)} generated",
            f"choices       protocol {self.protocol}; delta {self.threshold:g} A, RMSD {sign} "
            f"delta; references: {self.cleaned};",
            "              RMSD over heavy atoms, best over graph symmetries, conjugated terminal "
            f"groups {'' if self.symmetrize else 'not '}symmetrised;",
            f"              symmetries cut at {self.max_matches} for {self.truncated} molecules; "
            f"RDKit {self.rdkit_version}",
        ]
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.table()

    def _count(self, state: str) -> int:
        return sum(m.state == state for m in self.molecules)


def share(distances: np.ndarray, threshold: float, strict: bool) -> float:
    """The share of distances within a threshold.

    Args:
        distances: (n,), angstrom.
        threshold: angstrom.
        strict: whether one at the threshold is outside.
    """
    return float(np.mean(distances < threshold if strict else distances <= threshold))


def checked_threshold(threshold: float) -> float:
    """`threshold` as a number.

    Args:
        threshold: positive, angstrom.

    Raises:
        ValueError: for anything else.
    """
    if not (np.isscalar(threshold) and np.isfinite(threshold) and threshold > 0):
        raise ValueError(f"threshold: expected a positive distance in angstrom, got {threshold!r}")
    return float(threshold)


def _check_measure(measure: str) -> None:
    if measure not in MEASURES:
        raise ValueError(f"measure: expected one of {', '.join(MEASURES)}, got {measure!r}")


def finite(values: Iterable[float]) -> np.ndarray:
    """The values that are numbers, (n,).

    Args:
        values: any.
    """
    values = np.array(list(values), dtype=np.float64)
    return values[np.isfinite(values)]


def bootstrap(values: np.ndarray, resamples: int, seed: int) -> Interval:
    """The mean with its 95 % percentile bootstrap interval; nan of no values.

    Args:
        values: (n,), one for each molecule.
        resamples: draws of n values with replacement.
        seed: of the draws.
    """
    if not len(values):
        return Interval(np.nan, np.nan, np.nan, 0)
    generator = np.random.default_rng(seed)
    means = [
        values[generator.integers(len(values), size=len(values))].mean() for _ in range(resamples)
    ]
    low, high = np.percentile(means, [2.5, 97.5])
    return Interval(float(values.mean()), float(low), float(high), len(values))
