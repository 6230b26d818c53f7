"""Coverage and matching of conformer ensembles, with every choice that shapes the numbers in the
result.

For one molecule with L reference and K generated conformers and their (L, K) matrix of heavy-atom
RMSD: COV-R is the share of references with a generated conformer within the threshold, AMR-R the
mean over references of the smallest RMSD; COV-P and AMR-P are the same over generated conformers.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path

import numpy as np
import torch
from rdkit import Chem, rdBase

from geodiff.domains.molecules.features import featurise
from geodiff.domains.molecules.rmsd import MAX_MATCHES, aligned_rmsd, positions, symmetries
from geodiff.domains.molecules.stereo import double_ok, matches_smiles, tetrahedral_ok

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

    mean: float
    median: float


@dataclass(frozen=True)
class Interval:
    """A mean over molecules with its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float
    molecules: int

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class MoleculeCoverage:
    """The four measures of one molecule. Shares are in [0, 1], AMR in angstrom; nan where
    undefined.
    """

    name: str
    state: str  # SCORED, MODEL_FAILURE, ADDITIONAL_FAILURE, SKIPPED or DROPPED
    references: int  # L that was compared, after cleaning
    references_given: int  # L before cleaning
    generated: int  # K
    cov_r: float
    amr_r: float
    cov_p: float
    amr_p: float
    # the search for symmetries stopped at its limit: RMSDs are upper bounds
    truncated: bool = False
    reason: str = ""  # of a state other than SCORED
    # Smallest RMSD of each reference, (L,), and of each generated conformer, (K,), to the other
    # ensemble.
    from_reference: np.ndarray = field(default=None, repr=False, compare=False)
    from_generated: np.ndarray = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class CoverageRecord:
    """Coverage of a set of molecules, and the choices it was made with. Shares in [0, 1], AMR in
    angstrom.
    """

    molecules: tuple[MoleculeCoverage, ...]
    threshold: float  # delta, angstrom
    protocol: str  # "A" or "B"
    strict: bool  # True: covered means RMSD < delta; False: RMSD <= delta
    cleaned: str  # how references were cleaned, in words
    symmetrize: bool  # conjugated terminal groups count as symmetric
    max_matches: int  # limit of the search for symmetries
    rdkit_version: str

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
        """Value of `measure`, one of MEASURES, by molecule name; the AMR of a failure is nan."""
        _check_measure(measure)
        return {m.name: getattr(m, measure) for m in self.counted}

    def summary(self, measure: str) -> Summary:
        """Mean and median of `measure` over molecules, nan left out."""
        values = _finite(self.values(measure).values())
        if not len(values):
            return Summary(np.nan, np.nan)
        return Summary(float(values.mean()), float(np.median(values)))

    def interval(self, measure: str, *, resamples: int = 5_000, seed: int = 0) -> Interval:
        """Mean of `measure` with its 95 % percentile bootstrap interval over molecules, nan left
        out.
        """
        return _bootstrap(_finite(self.values(measure).values()), resamples, seed)

    def at(self, threshold: float) -> "CoverageRecord":
        """The same ensembles at another threshold, without a new alignment."""
        molecules = tuple(
            replace(
                m,
                cov_r=_share(m.from_reference, threshold, self.strict),
                cov_p=_share(m.from_generated, threshold, self.strict),
            )
            if m.state == SCORED
            else m
            for m in self.molecules
        )
        return replace(self, molecules=molecules, threshold=_checked_threshold(threshold))

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


@dataclass(frozen=True)
class StereoRecord:
    """Shares of generated conformers whose specified stereo is right; nan if no molecule specifies
    any.
    """

    # all specified centres right, among conformers of molecules that specify a centre
    tetrahedral: float
    tetrahedral_conformers: int
    # all specified double bonds right, among conformers of molecules that specify one
    double: float
    double_conformers: int
    both: float  # all that is specified right, among all conformers
    conformers: int

    def __str__(self) -> str:
        return (
            f"stereo right: tetrahedral {100 * self.tetrahedral:.1f} % of "
            f"{self.tetrahedral_conformers}, E/Z {100 * self.double:.1f} % of "
            f"{self.double_conformers}, both {100 * self.both:.1f} % of {self.conformers} "
            "conformers"
        )


def coverage(
    reference,
    generated,
    threshold: float,
    protocol: str = "A",
    *,
    smiles=None,
    symmetrize: bool = True,
    max_matches: int = MAX_MATCHES,
) -> CoverageRecord:
    """COV-R, AMR-R, COV-P and AMR-P of generated ensembles against reference ensembles.

    reference: molecules by name, or a list of molecules; each an RDKit Mol with L conformers, or a
      list of Mols if its conformers have graphs of their own.
    generated: the same names or the same order; each a Mol with K conformers, or None where the
    model failed.
    threshold: delta, angstrom: 0.5 is usual at QM9 size, 0.75 for GEOM-DRUGS with protocol A, 1.25
    with B. protocol "A" (GeoMol, torsional diffusion): RMSD < delta. References whose graph is not
    that of `smiles` are removed; a molecule without any left is skipped. No conformers, or none
    comparable: COV 0, left out of AMR. protocol "B" (ConfGF, GeoDiff): RMSD <= delta, references as
    given, the first 2 L samples; molecules with fewer samples or with more than one fragment are
    dropped.
    smiles: by name or in order, for protocol A; None takes the property "smiles" of a reference,
      and keeps all references of a molecule that has none.
    symmetrize, max_matches: as in `rmsd_matrix`; published numbers from RDKit before 2022.9 did not
      symmetrise.
    Raises ValueError if names or lengths do not fit.
    """
    if protocol not in ("A", "B"):
        raise ValueError(f"protocol: expected 'A' or 'B', got {protocol!r}")
    threshold = _checked_threshold(threshold)
    rows = _paired(reference, generated, smiles)
    results, sources = [], {"given": 0, "property": 0, "none": 0}
    with rdBase.BlockLogs():
        for name, references, model, text in rows:
            source = "given" if text is not None else "none"
            if text is None and references and references[0].HasProp("smiles"):
                text, source = references[0].GetProp("smiles"), "property"
            sources[source] += 1
            results.append(
                _measure(
                    name, references, model, text, threshold, protocol, symmetrize, max_matches
                )
            )
    cleaned = "as given"
    if protocol == "A":
        known = sources["given"] + sources["property"]
        cleaned = f"clean_confs by SMILES for {known} molecules, as given for {sources['none']}"
    return CoverageRecord(
        tuple(results),
        threshold,
        protocol,
        protocol == "A",
        cleaned,
        symmetrize,
        max_matches,
        rdBase.rdkitVersion,
    )


def clean_confs(smiles: str, conformers: Sequence[Chem.Mol]) -> list[int]:
    """Indices of `conformers` whose heavy-atom graph is that of `smiles`, stereo ignored.

    It removes conformers that reacted, and keeps other stereoisomers. Nothing is sanitised, as in
    GeoMol.
    Raises ValueError if RDKit cannot read `smiles`.
    """
    parsed = Chem.MolFromSmiles(smiles, sanitize=False)
    if parsed is None:
        raise ValueError(f"smiles: RDKit cannot parse {smiles!r}")
    wanted = Chem.MolToSmiles(parsed, isomericSmiles=False)
    return [
        i
        for i, mol in enumerate(conformers)
        if Chem.MolToSmiles(Chem.RemoveHs(mol, sanitize=False), isomericSmiles=False) == wanted
    ]


def stereo_correct(generated, smiles=None, *, perception: str = "volume") -> StereoRecord:
    """Share of generated conformers whose specified stereo, read from the coordinates alone, is
    right.

    generated: molecules by name or in a list, each a Mol with hydrogens and conformers, or None
      (not counted).
    smiles: the wanted stereo, by name or in order; None takes the property "smiles" of a molecule,
      else its own stereo tags. (The tags of a molecule read from SDF are those of its first
      conformer, not the wanted ones.)
    perception: "volume" takes the sign of the tetrahedron that the neighbours of a centre span, and
      the side of the substituents of a double bond; "rdkit" asks AssignStereochemistryFrom3D, which
      looks at three neighbours and calls centres of strained rings inverted when those three and
      the centre become coplanar. Stereo that the SMILES leaves open, and three-neighbour nitrogen,
      are not judged. A molecule whose graph is not that of its SMILES is wrong throughout. Raises
      ValueError for a SMILES that RDKit cannot read.
    """
    judges = {"volume": _right_by_volume, "rdkit": _right_by_rdkit}
    if perception not in judges:
        raise ValueError(f"perception: expected 'volume' or 'rdkit', got {perception!r}")
    molecules = _named(generated, "generated")
    texts = _aligned(smiles, molecules, "smiles")
    columns = {"tetrahedral": [], "double": [], "both": []}
    for name, mol in molecules.items():
        if mol is None or not mol.GetNumConformers():
            continue
        text = texts[name]
        if text is None:
            text = (
                mol.GetProp("smiles")
                if mol.HasProp("smiles")
                else Chem.MolToSmiles(Chem.RemoveHs(mol))
            )
        if Chem.MolFromSmiles(text) is None:
            raise ValueError(f"smiles: RDKit cannot parse {text!r}")
        for kind, right in zip(columns, judges[perception](mol, text)):
            if right is not None:
                columns[kind].append(right)
    judged = {kind: sum(map(len, right)) for kind, right in columns.items()}
    share = {
        kind: float(np.concatenate(right).mean()) if right else np.nan
        for kind, right in columns.items()
    }
    return StereoRecord(
        share["tetrahedral"],
        judged["tetrahedral"],
        share["double"],
        judged["double"],
        share["both"],
        judged["both"],
    )


def paired_difference(
    record: CoverageRecord, baseline, measure: str, *, resamples: int = 5_000, seed: int = 0
) -> Interval:
    """Mean over molecules of `measure` in `record` minus `measure` in `baseline`, with its 95 %
    bootstrap interval.

    baseline: another CoverageRecord, or one row of `read_baseline`. Molecules are paired by name;
      those where either value is nan are left out, so look at the failures too. A gain in COV is
      positive, a gain in AMR negative.
    Raises ValueError if no molecule is in both.
    """
    ours = record.values(measure)
    if isinstance(baseline, CoverageRecord):
        theirs = baseline.values(measure)
    else:
        theirs = {name: values[measure] for name, values in baseline.items()}
    common = [name for name in ours if name in theirs]
    if not common:
        raise ValueError(
            "baseline: expected molecules named like those of record "
            f"({', '.join(list(ours)[:3])}, ...), got {', '.join(list(theirs)[:3]) or 'none'}; "
            "name molecules the same in both"
        )
    return _bootstrap(_finite([ours[name] - theirs[name] for name in common]), resamples, seed)


def read_baseline(path: str | PathLike, row: str) -> dict[str, dict[str, float]]:
    """Stored measures of one generator by molecule name, for `paired_difference`.

    path: JSON of {row: {molecule: {"stats": [COV-R, AMR-R, COV-P, AMR-P]}}}. Raises ValueError for
      an unknown row.
    """
    stored = json.loads(Path(path).read_text())
    if row not in stored:
        raise ValueError(f"row: {path} has no row {row!r}; it has {', '.join(stored)}")
    return {
        name: dict(zip(MEASURES, entry["stats"], strict=True))
        for name, entry in stored[row].items()
    }


def _measure(
    name: str,
    references: list[Chem.Mol],
    model: Chem.Mol | None,
    smiles: str | None,
    threshold: float,
    protocol: str,
    symmetrize: bool,
    max_matches: int,
) -> MoleculeCoverage:
    """One molecule by the rules of `coverage`."""
    given = sum(mol.GetNumConformers() for mol in references)
    if protocol == "A" and smiles is not None:
        references = [references[i] for i in clean_confs(smiles, references)]
    references = [mol for mol in references if mol.GetNumConformers()]
    left = sum(mol.GetNumConformers() for mol in references)
    samples = 0 if model is None else model.GetNumConformers()

    def outcome(state: str, reason: str) -> MoleculeCoverage:
        cover = np.nan if state in (SKIPPED, DROPPED) else 0.0
        return MoleculeCoverage(
            name, state, left, given, samples, cover, np.nan, cover, np.nan, reason=reason
        )

    if not left:
        return outcome(
            SKIPPED, "no reference conformer" + (" has the graph of the SMILES" if given else "")
        )
    if protocol == "B":
        if len(Chem.GetMolFrags(references[0])) > 1:
            return outcome(DROPPED, "more than one fragment")
        if samples < 2 * left:
            return outcome(DROPPED, f"{samples} samples, fewer than 2 L = {2 * left}")
    if not samples:
        return outcome(MODEL_FAILURE, "no generated conformer")
    try:
        model = Chem.RemoveHs(model)
        clouds = positions(model)
        if protocol == "B":
            samples = 2 * left
            clouds = clouds[:samples]
        rows, truncated = [], False
        for mol in references:
            mol = Chem.RemoveHs(mol)
            found = symmetries(mol, model, symmetrize=symmetrize, max_matches=max_matches)
            rows.append(aligned_rmsd(positions(mol), clouds, found.permutations))
            truncated |= found.truncated
    except (ValueError, RuntimeError) as error:  # RDKit's own errors are subclasses of these
        return outcome(ADDITIONAL_FAILURE, str(error))
    matrix = np.concatenate(rows)
    from_reference, from_generated = matrix.min(1), matrix.min(0)
    return MoleculeCoverage(
        name,
        SCORED,
        left,
        given,
        samples,
        _share(from_reference, threshold, protocol == "A"),
        float(from_reference.mean()),
        _share(from_generated, threshold, protocol == "A"),
        float(from_generated.mean()),
        truncated,
        "",
        from_reference,
        from_generated,
    )


def _share(distances: np.ndarray, threshold: float, strict: bool) -> float:
    return float(np.mean(distances < threshold if strict else distances <= threshold))


def _right_by_volume(
    mol: Chem.Mol, smiles: str
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray]:
    """Conformers with all centres, all double bonds, and both right, (K,) bool; None if none is
    specified.
    """
    query = Chem.MolFromSmiles(smiles)
    template = Chem.AddHs(query)
    labels = featurise(template)
    clouds = torch.from_numpy(positions(mol))
    maps = _atom_maps(mol, query, template)
    if len(maps):
        maps = torch.from_numpy(maps)
        centres = tetrahedral_ok(clouds[:, None], maps[:, labels.chiral]).all(-1)  # (K, maps)
        ends = torch.cat(
            [maps[:, labels.double[:, :4]], labels.double[:, 4:].expand(len(maps), -1, 1)], -1
        )
        bonds = double_ok(clouds[:, None], ends).all(-1)
    else:
        centres = bonds = torch.zeros(len(clouds), 1, dtype=torch.bool)
    # Equivalent atoms may be laid on each other in several ways; one way in which all is right is
    # enough.
    right = [way.any(-1).numpy() for way in (centres, bonds, centres & bonds)]
    return (
        right[0] if len(labels.chiral) else None,
        right[1] if len(labels.double) else None,
        right[2],
    )


def _atom_maps(mol: Chem.Mol, query: Chem.Mol, template: Chem.Mol) -> np.ndarray:
    """Ways to lay the atoms of `template`, which is `query` with hydrogens, on those of `mol`,
    (ways, atoms) int.

    Of several hydrogens on one atom the first stands for all: a stereo label names a hydrogen only
    where it is alone.
    """
    heavy = [sum(a.GetAtomicNum() > 1 for a in m.GetAtoms()) for m in (mol, query)]
    if heavy[0] != heavy[1] or mol.GetNumAtoms() != template.GetNumAtoms():
        return np.zeros((0, template.GetNumAtoms()), dtype=np.int64)
    hydrogen = np.zeros(mol.GetNumAtoms(), dtype=np.int64)
    for atom in mol.GetAtoms():
        hydrogen[atom.GetIdx()] = next(
            (n.GetIdx() for n in atom.GetNeighbors() if n.GetAtomicNum() == 1), 0
        )
    mol = Chem.Mol(mol)
    Chem.SanitizeMol(mol)  # a force field may have left its own aromaticity
    maps = np.array(
        mol.GetSubstructMatches(query, uniquify=False, maxMatches=10_000), dtype=np.int64
    )
    maps = maps.reshape(-1, query.GetNumAtoms())
    bearers = [
        template.GetAtomWithIdx(i).GetNeighbors()[0].GetIdx()
        for i in range(query.GetNumAtoms(), template.GetNumAtoms())
    ]
    return np.concatenate([maps, hydrogen[maps[:, bearers]]], axis=1)


def _right_by_rdkit(
    mol: Chem.Mol, smiles: str
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray]:
    """As `_right_by_volume`, by RDKit's perception of one kind of stereo at a time."""
    whole = Chem.MolFromSmiles(smiles)
    tetrahedral, double = Chem.Mol(whole), Chem.Mol(whole)
    for bond in tetrahedral.GetBonds():
        bond.SetStereo(Chem.BondStereo.STEREONONE)
        bond.SetBondDir(Chem.BondDir.NONE)
    for atom in double.GetAtoms():
        atom.SetChiralTag(Chem.ChiralType.CHI_UNSPECIFIED)
    labels = featurise(Chem.AddHs(whole))

    def seen(part: Chem.Mol) -> np.ndarray:
        text = Chem.MolToSmiles(part)
        return np.array([matches_smiles(mol, c.GetId(), text) for c in mol.GetConformers()])

    return (
        seen(tetrahedral) if len(labels.chiral) else None,
        seen(double) if len(labels.double) else None,
        seen(whole),
    )


def _paired(
    reference, generated, smiles
) -> list[tuple[str, list[Chem.Mol], Chem.Mol | None, str | None]]:
    references = _named(reference, "reference")
    models, texts = (
        _aligned(generated, references, "generated"),
        _aligned(smiles, references, "smiles"),
    )
    rows = []
    for name, mols in references.items():
        mols = [] if mols is None else [mols] if isinstance(mols, Chem.Mol) else list(mols)
        rows.append((name, mols, models[name], texts[name]))
    return rows


def _named(molecules, argument: str) -> dict:
    """Molecules by name: the keys of a mapping, else the titles of molecules if all differ, else
    places.
    """
    if isinstance(molecules, Mapping):
        return dict(molecules)
    if isinstance(molecules, Chem.Mol):
        molecules = [molecules]
    if isinstance(molecules, str) or not isinstance(molecules, Sequence):
        raise TypeError(
            f"{argument}: expected a list or a dict of RDKit Mols, got {type(molecules).__name__}"
        )
    titles = []
    for entry in molecules:
        first = entry if isinstance(entry, Chem.Mol) else entry[0] if entry else None
        titles.append(
            first.GetProp("_Name") if first is not None and first.HasProp("_Name") else ""
        )
    if len(set(titles)) < len(titles) or "" in titles:
        titles = [str(i) for i in range(len(titles))]
    return dict(zip(titles, molecules))


def _aligned(values, names: Mapping, argument: str) -> dict:
    """`values` by the keys of `names`; None where a mapping has no such key, or everywhere for
    None.
    """
    if values is None:
        return dict.fromkeys(names)
    if isinstance(values, Mapping):
        unknown = [key for key in values if key not in names]
        if unknown:
            raise ValueError(
                f"{argument}: got names that no molecule has: "
                f"{', '.join(map(str, unknown[:3]))}; known are {', '.join(list(names)[:3])}"
                f"{', ...' if len(names) > 3 else ''}"
            )
        return {name: values.get(name) for name in names}
    if isinstance(values, Chem.Mol | str):
        values = [values]
    if len(values) != len(names):
        raise ValueError(
            f"{argument}: expected {len(names)} entries, one for each molecule, "
            f"got {len(values)}; put None where there is none"
        )
    return dict(zip(names, values))


def _checked_threshold(threshold: float) -> float:
    if not (np.isscalar(threshold) and np.isfinite(threshold) and threshold > 0):
        raise ValueError(f"threshold: expected a positive distance in angstrom, got {threshold!r}")
    return float(threshold)


def _check_measure(measure: str) -> None:
    if measure not in MEASURES:
        raise ValueError(f"measure: expected one of {', '.join(MEASURES)}, got {measure!r}")


def _finite(values) -> np.ndarray:
    values = np.array(list(values), dtype=np.float64)
    return values[np.isfinite(values)]


def _bootstrap(values: np.ndarray, resamples: int, seed: int) -> Interval:
    if not len(values):
        return Interval(np.nan, np.nan, np.nan, 0)
    generator = np.random.default_rng(seed)
    means = [
        values[generator.integers(len(values), size=len(values))].mean() for _ in range(resamples)
    ]
    low, high = np.percentile(means, [2.5, 97.5])
    return Interval(float(values.mean()), float(low), float(high), len(values))
