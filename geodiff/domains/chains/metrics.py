"""Measures of backbones: local geometry, handedness, clashes, secondary structure, size and
contacts.

What they see and what they miss stands beside them as decoys (`geodiff.domains.chains.decoys`).
None of them says whether a sequence folds to the backbone.
"""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby, pairwise

import numpy as np
from scipy.spatial import cKDTree

from geodiff.domains.chains.chain import Chain
from geodiff.domains.chains.geometry import angle, dihedral
from geodiff.paths import data_path

C_N_RANGE = (1.23, 1.43)  # angstrom, closed
CA_CA_RANGE = (3.6, 4.0)  # angstrom, open; cis peptides (2.9) fall out, 0.3 % of real ones
CONTACT = 8.0  # angstrom between CA
NEAR, FAR = 3, 12  # residues apart: least for a clash or a contact; least for a long-range contact
MAX_RESIDUES = 2_000  # secondary structure takes memory with the square
# Least distances of atoms NEAR or more residues apart, angstrom; rows and columns N, CA, C, O. Each
# near the closest 0.1 in 1000 residues of 89,819 real residues.
CLOSEST = np.array(
    [(3.1, 3.2, 3.1, 2.25), (3.2, 3.4, 3.3, 2.6), (3.1, 3.3, 3.4, 2.65), (2.25, 2.6, 2.65, 2.35)]
)


@dataclass(frozen=True, eq=False)
class Measures:
    """The measures of one chain. Arrays hold one value a residue, bond or angle; those across gaps
    are left out.
    """

    name: str  # of the chain
    residues: int  # its length
    n_ca: np.ndarray  # angstrom, as all bonds
    ca_c: np.ndarray  # CA to C
    c_n: np.ndarray  # C to the next N
    c_o: np.ndarray  # C to O
    ca_ca: np.ndarray  # CA to the next CA
    n_ca_c: np.ndarray  # degrees, as all angles
    ca_c_n: np.ndarray  # at C
    c_n_ca: np.ndarray  # at N
    ca_c_o: np.ndarray  # at C
    o_c_n: np.ndarray  # at C
    omega: np.ndarray  # torsion of the peptide bond
    phi: np.ndarray  # of residues that have both phi and psi
    psi: np.ndarray  # of the same residues
    rama: np.ndarray  # density of the Ramachandran map at (phi, psi)
    clashes: int  # pairs of atoms closer than CLOSEST
    structure: str  # H, E or - a residue
    rg: float  # radius of gyration of the CA, angstrom
    contacts: int  # CA pairs within 8 angstrom, 3 or more residues apart
    far_contacts: int  # of these 12 or more apart
    contact_order: float  # mean separation of contacts over length; nan without contacts

    @property
    def c_n_ok(self) -> float:
        return _share((self.c_n >= C_N_RANGE[0]) & (self.c_n <= C_N_RANGE[1]))

    @property
    def ca_ca_ok(self) -> float:
        return _share((self.ca_ca > CA_CA_RANGE[0]) & (self.ca_ca < CA_CA_RANGE[1]))

    @property
    def rama_outside(self) -> float:
        """Share of residues outside the contour that holds 99.8 % of real ones."""
        return _share(self.rama < _rama_map()[2])

    @property
    def phi_negative(self) -> float:
        """Share of residues with phi < 0: the test of handedness."""
        return _share(self.phi < 0)

    @property
    def clashes_per_100(self) -> float:
        return 100 * self.clashes / self.residues

    @property
    def helix(self) -> float:
        return self.structure.count("H") / self.residues

    @property
    def strand(self) -> float:
        return self.structure.count("E") / self.residues

    @property
    def rg_ratio(self) -> float:
        """Rg over 2.2 N^0.38 angstrom, the law of globular chains."""
        return self.rg / (2.2 * self.residues**0.38)


# What one chain must satisfy to be called plausible: words, and a test that nan fails.
CHECKS = {
    "C-N ok >= 0.95": lambda m: m.c_n_ok >= 0.95,
    "CA-CA ok >= 0.95": lambda m: m.ca_ca_ok >= 0.95,
    "Ramachandran outside <= 0.05": lambda m: m.rama_outside <= 0.05,
    "phi < 0 >= 0.75": lambda m: m.phi_negative >= 0.75,
    "clashes <= 1 per 100": lambda m: m.clashes_per_100 <= 1,
    "Rg ratio <= 1.3": lambda m: m.rg_ratio <= 1.3,
    "helix + strand >= 0.35": lambda m: m.helix + m.strand >= 0.35,
}


def measure(chain: Chain) -> Measures:
    """All measures of a chain (secondary structure by pydssp, extra `eval`).

    Args:
        chain: of 5 to MAX_RESIDUES residues.

    Raises: ValueError for shorter and longer ones.
    """
    if not 5 <= len(chain) <= MAX_RESIDUES:
        raise ValueError(
            f"chain: {chain.name} has {len(chain)} residues; measures are made for 5 to "
            f"{MAX_RESIDUES}"
        )
    n, ca, c, o = chain.coords.transpose(1, 0, 2)
    joined = ~chain.gaps
    n2, ca2, c1, ca1, n1, o1 = (
        n[1:][joined],
        ca[1:][joined],
        c[:-1][joined],
        ca[:-1][joined],
        n[:-1],
        o[:-1][joined],
    )
    psi = np.where(joined, dihedral(n1, ca[:-1], c[:-1], n[1:]), np.nan)
    phi = np.where(joined, dihedral(c[:-1], n[1:], ca[1:], c[1:]), np.nan)
    phi, psi = phi[:-1], psi[1:]  # of residues 1 to n - 2
    both = np.isfinite(phi) & np.isfinite(psi)
    phi, psi = phi[both], psi[both]
    contacts = cKDTree(ca).query_pairs(CONTACT, output_type="ndarray")
    apart = np.abs(contacts[:, 1] - contacts[:, 0])
    apart = apart[apart >= NEAR]
    return Measures(
        chain.name,
        len(chain),
        n_ca=_distance(n, ca),
        ca_c=_distance(ca, c),
        c_n=_distance(c1, n2),
        c_o=_distance(c, o),
        ca_ca=_distance(ca1, ca2),
        n_ca_c=angle(n, ca, c),
        ca_c_n=angle(ca1, c1, n2),
        c_n_ca=angle(c1, n2, ca2),
        ca_c_o=angle(ca, c, o),
        o_c_n=angle(o1, c1, n2),
        omega=dihedral(ca1, c1, n2, ca2),
        phi=phi,
        psi=psi,
        rama=rama_density(phi, psi),
        clashes=clashes(chain.coords),
        structure=secondary_structure(chain.coords),
        rg=float(np.sqrt(((ca - ca.mean(0)) ** 2).sum(-1).mean())),
        contacts=len(apart),
        far_contacts=int((apart >= FAR).sum()),
        contact_order=float(apart.mean() / len(chain)) if len(apart) else float("nan"),
    )


def clashes(coords: np.ndarray) -> int:
    """Pairs of backbone atoms, 3 or more residues apart, that are closer than CLOSEST.

    Args:
        coords: (n, 4, 3), angstrom.
    """
    atoms = coords.reshape(-1, 3)
    pairs = cKDTree(atoms).query_pairs(CLOSEST.max(), output_type="ndarray")
    (first, second), (i, j) = (pairs // 4).T, (pairs % 4).T
    pairs, i, j = (x[np.abs(first - second) >= NEAR] for x in (pairs, i, j))
    return int((_distance(atoms[pairs[:, 0]], atoms[pairs[:, 1]]) < CLOSEST[i, j]).sum())


def secondary_structure(coords: np.ndarray) -> str:
    """H (helix), E (strand) or - for each residue, by the hydrogen bonds of pydssp.

    Args:
        coords: (n, 4, 3), n >= 5, angstrom.

    Raises: ModuleNotFoundError without pydssp.
    """
    try:
        pydssp = importlib.import_module("pydssp")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "Secondary structure needs pydssp: pip install 'geodiff-manifolds[eval]'"
        ) from error
    if len(coords) < 6:  # shorter than any helix or ladder, and than pydssp takes
        return "-" * len(coords)
    with np.errstate(divide="ignore", invalid="ignore"):  # atoms at one point
        return "".join(pydssp.assign(coords, out_type="c3"))


def rama_density(phi: np.ndarray, psi: np.ndarray) -> np.ndarray:
    """Density of the shipped Ramachandran map (10 degree bins, sum 1).

    Args:
        phi: degrees, any shape.
        psi: degrees, as phi.
    """
    density = _rama_map()[0]
    size = len(density)
    row, column = (np.floor((x + 180) * size / 360).astype(int) % size for x in (phi, psi))
    return density[row, column]


@cache
def _rama_map() -> tuple[np.ndarray, float, float]:
    with np.load(data_path("proteins", "rama_map.npz")) as file:
        return file["density"], float(file["level98"]), float(file["level998"])


@dataclass(frozen=True, eq=False)
class Report:
    """Measures of a set of chains."""

    title: str  # of the set
    chains: tuple[Measures, ...]  # one each, in order

    def values(self) -> dict[str, float]:
        """Quantities by name: local ones pooled over residues, global ones over chains; nan where
        undefined.
        """
        m = self.chains
        pooled = {
            field: np.concatenate([getattr(x, field) for x in m])
            for field in (
                "n_ca",
                "ca_c",
                "c_n",
                "c_o",
                "ca_ca",
                "n_ca_c",
                "ca_c_n",
                "c_n_ca",
                "ca_c_o",
                "o_c_n",
                "omega",
                "phi",
                "rama",
            )
        }
        residues = sum(x.residues for x in m)
        omega, levels = np.abs(pooled["omega"]), _rama_map()
        values = {"chains": len(m), "residues": residues}
        for name, field in (
            ("N-CA", "n_ca"),
            ("CA-C", "ca_c"),
            ("C-N", "c_n"),
            ("C-O", "c_o"),
            ("CA-CA", "ca_ca"),
            ("N-CA-C", "n_ca_c"),
            ("CA-C-N", "ca_c_n"),
            ("C-N-CA", "c_n_ca"),
            ("CA-C-O", "ca_c_o"),
            ("O-C-N", "o_c_n"),
        ):
            values[f"{name} mean"], values[f"{name} std"] = (
                _mean(pooled[field]),
                _std(pooled[field]),
            )
        helices, strands = (
            [len(list(run)) for x in m for key, run in groupby(x.structure) if key == kind]
            for kind in "HE"
        )
        helix, strand = np.array([x.helix for x in m]), np.array([x.strand for x in m])
        ratio = np.array([x.rg_ratio for x in m])
        return (
            values
            | {
                "C-N in [1.23, 1.43]": _share(
                    (pooled["c_n"] >= C_N_RANGE[0]) & (pooled["c_n"] <= C_N_RANGE[1])
                ),
                "CA-CA in (3.6, 4.0)": _share(
                    (pooled["ca_ca"] > CA_CA_RANGE[0]) & (pooled["ca_ca"] < CA_CA_RANGE[1])
                ),
                "omega trans": _share(omega > 150),
                "omega cis": _share(omega < 30),
                "omega from planar": _mean(np.minimum(omega, 180 - omega)),
                "Ramachandran in 98 %": _share(pooled["rama"] >= levels[1]),
                "Ramachandran outside 99.8 %": _share(pooled["rama"] < levels[2]),
                "phi < 0": _share(pooled["phi"] < 0),
                "clashes per 100 residues": 100 * sum(x.clashes for x in m) / residues,
                "helix": _mean(helix),
                "helix std": _std(helix),
                "strand": _mean(strand),
                "strand std": _std(strand),
                "helix + strand >= 0.4": _share(helix + strand >= 0.4),
                "helix length": _mean(np.array(helices)),
                "strand length": _mean(np.array(strands)),
                "Rg ratio": _mean(ratio),
                "Rg ratio std": _std(ratio),
                "contacts per residue": _mean(np.array([x.contacts / x.residues for x in m])),
                "long-range contacts": _mean(np.array([x.far_contacts / x.residues for x in m])),
                "contact order": _mean(np.array([x.contact_order for x in m if x.contacts])),
            }
            | {f"chains with {name}": share for name, share in self.passes().items()}
        )

    def passes(self) -> dict[str, float]:
        """Share of chains that pass each of CHECKS, and all of them (`all checks`)."""
        table = np.array([[bool(check(m)) for check in CHECKS.values()] for m in self.chains])
        return {
            **dict(zip(CHECKS, table.mean(0).tolist())),
            "all checks": float(table.all(1).mean()),
        }

    def by_length(self, edges: Sequence[int] = (40, 80, 125, 151)) -> list["Report"]:
        """A report for the chains of each range of residues that has any.

        Args:
            edges: the ranges are [edge, next edge).
        """
        ranges = [
            (low, high, tuple(m for m in self.chains if low <= m.residues < high))
            for low, high in pairwise(edges)
        ]
        return [
            Report(f"{self.title} {low}-{high - 1}", chains)
            for low, high, chains in ranges
            if chains
        ]

    def table(self, *others: "Report | tuple[str, dict[str, float]]") -> str:
        """Every quantity in a line, and a column for this report and each of the others.

        Args:
            others: reports, or titled values.
        """
        columns = [(self.title, self.values())]
        columns += [(x.title, x.values()) if isinstance(x, Report) else x for x in others]
        return render(columns)


def report(chains: Sequence[Chain], title: str = "samples") -> Report:
    """Measures of all chains.

    Args:
        chains: at least one.
        title: of the set.

    Raises: ValueError if there is none, or for one that cannot be measured.
    """
    if not chains:
        raise ValueError("chains: expected at least one, got none")
    return Report(title, tuple(measure(chain) for chain in chains))


def told_apart(values: dict[str, float], real: dict[str, float]) -> list[str]:
    """Names of the checks that fewer than half as many chains pass as real ones do.

    Args:
        values: of the set, as `Report.values` gives them.
        real: of real chains, likewise.
    """
    return [
        name for name in CHECKS if values[f"chains with {name}"] < 0.5 * real[f"chains with {name}"]
    ]


def render(columns: Sequence[tuple[str, dict[str, float]]]) -> str:
    """A table of titled values, quantities down, `-` where a column lacks one.

    Args:
        columns: titles and values by name.
    """
    names = list(dict.fromkeys(name for _, values in columns for name in values))
    wide, widths = max(map(len, names)), [max(9, len(title)) for title, _ in columns]
    lines = [
        "  ".join(["".ljust(wide), *(title.rjust(w) for (title, _), w in zip(columns, widths))])
    ]
    for name in names:
        cells = (_cell(values.get(name)).rjust(w) for (_, values), w in zip(columns, widths))
        lines.append("  ".join([name.ljust(wide), *cells]))
    return "\n".join(lines)


def _cell(value: float | None) -> str:
    if value is None or np.isnan(value):
        return "-"
    return (
        str(value)
        if isinstance(value, int)
        else f"{value:.2f}"
        if abs(value) >= 10
        else f"{value:.4f}"
    )


def _distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.linalg.norm(a - b, axis=-1)


def _share(flags: np.ndarray) -> float:
    return float(np.mean(flags)) if len(flags) else float("nan")


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def _std(values: np.ndarray) -> float:
    return float(np.std(values)) if len(values) else float("nan")
