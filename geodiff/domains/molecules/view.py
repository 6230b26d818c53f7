"""Pictures of conformers: a self-contained HTML page that needs no network, and a PNG.

Both take RDKit molecules with conformers, lay the conformers of a molecule on each other, and
change nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from geodiff.pictures import page as pages
from geodiff.pictures.shown import captions_of, several
from geodiff.pictures.style import MUTED, sheet, shorten
from manifolds.registration import kabsch

# Jmol's colours, darkened where they would vanish on white (hydrogen, fluorine, sulphur, chlorine).
COLOURS = {
    "H": "#b8bfc7",
    "B": "#e8967a",
    "C": "#4a545e",
    "N": "#2f62d9",
    "O": "#e0352b",
    "F": "#4fb04a",
    "Si": "#c9a26b",
    "P": "#ee8a1d",
    "S": "#d9ad12",
    "Cl": "#27a844",
    "Se": "#d98a0b",
    "Br": "#9c3b2a",
    "I": "#8a2fa8",
}


@dataclass(frozen=True)
class _Overlay:
    """Heavy atoms and polar hydrogens of a molecule, its conformers laid on each other, turned to
    the eye.
    """

    positions: np.ndarray  # (conformers, atoms, 3), angstrom; the first two axes lie in the page
    symbols: list[str]
    bonds: list[tuple[int, int]]


def _name(molecule, index: int) -> str:
    return (
        molecule.GetProp("_Name").strip()
        if molecule.HasProp("_Name") and molecule.GetProp("_Name").strip()
        else f"molecule {index + 1}"
    )


def _smiles(molecule) -> str:
    from rdkit import Chem

    return Chem.MolToSmiles(Chem.RemoveHs(molecule))


def _check(molecules) -> list:
    from rdkit import Chem

    cure = "geodiff.conformers.sample makes them from SMILES"
    molecules = several(molecules, Chem.Mol, "molecules", cure)
    for index, molecule in enumerate(molecules):
        if molecule.GetNumConformers() == 0:
            raise ValueError(
                f"molecules[{index}] ({_smiles(molecule)}): it has no conformers; "
                "make some with geodiff.conformers.sample"
            )
        for conformer in molecule.GetConformers():
            if not np.isfinite(conformer.GetPositions()).all():
                raise ValueError(
                    f"molecules[{index}] ({_smiles(molecule)}): conformer {conformer.GetId()} has "
                    "coordinates that are not finite; leave it out"
                )
    return molecules


def _core(molecule) -> list[int]:
    """Atoms to lay conformers on: the largest ring system with its neighbours, else all heavy
    atoms.
    """
    from rdkit.Chem import GetDistanceMatrix

    heavy = [a.GetIdx() for a in molecule.GetAtoms() if a.GetAtomicNum() > 1]
    systems: list[set[int]] = []
    for ring in map(set, molecule.GetRingInfo().AtomRings()):
        touching = [s for s in systems if s & ring]
        systems = [s for s in systems if not s & ring] + [ring.union(*touching)]
    if not systems:
        return heavy if len(heavy) >= 3 else list(range(molecule.GetNumAtoms()))
    # of rings of one size, the one in the middle
    hops = GetDistanceMatrix(molecule)[:, heavy].sum(1)
    ring = max(
        systems, key=lambda system: (len(system), -min(hops[i] for i in system), -min(system))
    )
    around = {
        n.GetIdx()
        for i in ring
        for n in molecule.GetAtomWithIdx(i).GetNeighbors()
        if n.GetAtomicNum() > 1
    }
    return sorted(ring | around)


def _aligned(molecule) -> np.ndarray:
    """Positions of all conformers, laid on the first by least squares of the core, (conformers,
    atoms, 3).
    """
    positions = np.stack([c.GetPositions() for c in molecule.GetConformers()])
    core = _core(molecule)
    positions -= positions[0, core].mean(0)
    points = torch.from_numpy(positions)
    rotations, shifts = kabsch(points[1:, core], points[:1, core].expand(len(points) - 1, -1, -1))
    points[1:] = points[1:] @ rotations.transpose(1, 2) + shifts[:, None]
    return positions


def _view(points: np.ndarray, core: np.ndarray) -> np.ndarray:
    """Rotation (rows: right, up, to the eye): the core nearly face on, the molecule lengthwise."""
    flat = core if len(core) >= 3 else points
    normal = np.linalg.svd(flat - flat.mean(0), full_matrices=True)[2][2]
    centred = points - points.mean(0)
    right = np.linalg.svd(centred - np.outer(centred @ normal, normal), full_matrices=True)[2][0]
    right -= (right @ normal) * normal
    right /= np.linalg.norm(right)
    up = np.cross(normal, right)
    tilt = np.radians(24)  # a ring seen exactly face on hides what stands across it
    return np.stack(
        [
            right,
            np.cos(tilt) * up - np.sin(tilt) * normal,
            np.sin(tilt) * up + np.cos(tilt) * normal,
        ]
    )


def _overlay(molecule) -> _Overlay:
    """All conformers laid on each other, without the hydrogens on carbon, turned to the eye."""
    positions = _aligned(molecule)
    atoms = molecule.GetAtoms()
    keep = [
        a.GetIdx()
        for a in atoms
        if a.GetAtomicNum() > 1
        or a.GetDegree() == 0
        or a.GetNeighbors()[0].GetAtomicNum() not in (1, 6)
    ]
    if not any(molecule.GetAtomWithIdx(i).GetAtomicNum() > 1 for i in keep):  # H2
        keep = list(range(molecule.GetNumAtoms()))
    number = {old: new for new, old in enumerate(keep)}
    bonds = [
        (number[b.GetBeginAtomIdx()], number[b.GetEndAtomIdx()])
        for b in molecule.GetBonds()
        if b.GetBeginAtomIdx() in number and b.GetEndAtomIdx() in number
    ]
    view = _view(positions[0, keep], positions[0, _core(molecule)])
    return _Overlay(
        positions[:, keep] @ view.T, [molecule.GetAtomWithIdx(i).GetSymbol() for i in keep], bonds
    )


def _diverse(positions: np.ndarray, count: int) -> list[int]:
    """Indices of `count` conformers, the first and then always the one farthest from those
    taken.
    """
    taken = [0]
    nearest = np.full(len(positions), np.inf)
    while len(taken) < min(count, len(positions)):
        nearest = np.minimum(nearest, ((positions - positions[taken[-1]]) ** 2).sum((1, 2)))
        nearest[taken] = -1.0
        taken.append(int(nearest.argmax()))
    return taken


def _blend(colour: str, share: float) -> tuple[float, ...]:
    """`colour` with `share` of white in it."""
    rgb = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return tuple(c + (1 - c) * share for c in rgb)


def _draw(
    axes, overlay: _Overlay, conformers: Sequence[int], width: float, alpha: float = 1.0
) -> None:
    """Sticks of `conformers`, back to front; `width` is the thickness in points, far sticks are
    paler.
    """
    from matplotlib.collections import LineCollection

    depth = overlay.positions[..., 2]
    near, far = float(depth.max()), float(depth.min())
    sticks = []  # depth, halo, halves, their colours
    for c in conformers:
        points = overlay.positions[c]
        for i, j in overlay.bonds:
            start, end = points[i], points[j]
            middle = (start + end) / 2
            fog = 0.42 * (near - middle[2]) / max(near - far, 1e-6)
            colours = [_blend(COLOURS.get(overlay.symbols[k], "#a0a0a0"), fog) for k in (i, j)]
            halo = np.stack([0.72 * start + 0.28 * end, 0.28 * start + 0.72 * end])[:, :2]
            sticks.append(
                (middle[2], halo, [np.stack([e, middle])[:, :2] for e in (start, end)], colours)
            )
    sticks.sort(key=lambda stick: stick[0])
    if alpha < 1.0:
        axes.add_collection(
            LineCollection(
                [h for _, _, halves, _ in sticks for h in halves],
                linewidths=width,
                colors=[c for *_, pair in sticks for c in pair],
                alpha=alpha,
                capstyle="round",
                zorder=1,
            )
        )
        return
    # A white edge along the middle of each stick shows which of two passes in front; it ends short
    # of the atoms, where sticks meet without passing.
    for order, (_, halo, halves, colours) in enumerate(sticks):
        axes.add_collection(
            LineCollection(
                [halo], colors="white", linewidths=width + 2.4, capstyle="butt", zorder=10 + order
            )
        )
        axes.add_collection(
            LineCollection(
                halves, colors=colours, linewidths=width, capstyle="round", zorder=10.5 + order
            )
        )


def _frame(axes, points: np.ndarray, margin: float) -> None:
    low, high = (
        points.reshape(-1, 3)[:, :2].min(0) - margin,
        points.reshape(-1, 3)[:, :2].max(0) + margin,
    )
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    axes.set_aspect("equal")
    axes.set_axis_off()


def write_png(
    molecules,
    path,
    *,
    captions: Sequence[str] | None = None,
    title: str | None = None,
    overlaid: int = 12,
    singles: int = 3,
    columns: int = 3,
) -> Path:
    """Write a picture of molecules: their conformers overlaid, some of them singly, name and
    caption below.

    Hydrogens on carbon are left out.

    Args:
        molecules: an RDKit Mol or a sequence of them, each with at least one conformer.
        path: of the picture.
        captions: one line of text for each molecule; None: the number of conformers.
        title: above the picture.
        overlaid: the most conformers drawn over each other, the most different ones.
        singles: the most conformers drawn one by one, the most different ones.
        columns: molecules in a row.

    Returns: `path`.
    Raises: ValueError if there is nothing to draw, ModuleNotFoundError without matplotlib.
    """
    molecules = _check(molecules)
    captions = _captions(captions, molecules)
    columns = min(columns, len(molecules))
    rows = -(-len(molecules) // columns)
    head = 0.55 if title else 0.1
    with sheet(path, 4.1 * columns + 0.2, 4.9 * rows + head) as page:
        page.title(title)
        for index, molecule in enumerate(molecules):
            left, top = 0.25 + 4.1 * (index % columns), head + 4.9 * (index // columns)
            panel = page.box(left, top, 3.8, 4.7)
            panel.set(xticks=[], yticks=[], facecolor="none")
            overlay = _overlay(molecule)
            spread = _diverse(overlay.positions, overlaid)
            main = page.box(left + 0.15, top + 0.1, 3.5, 2.5)
            _draw(main, overlay, spread[1:], 2.6, alpha=0.4)
            _draw(main, overlay, spread[:1], 4.2)
            _frame(main, overlay.positions[spread], 0.5)
            for place, conformer in enumerate(spread[:singles] if len(spread) > 1 else []):
                wide = 3.64 / singles
                small = page.box(left + 0.08 + wide * place, top + 2.65, wide, 1.0)
                _draw(small, overlay, [conformer], 2.2)
                _frame(small, overlay.positions[conformer], 0.5)
            name = shorten(_name(molecule, index), 34)
            page.write(left + 0.17, top + 3.83, name, fontsize=13, fontweight="bold")
            smiles = shorten(_smiles(molecule), 46)
            page.write(left + 0.17, top + 4.16, smiles, fontsize=8, family="monospace", color=MUTED)
            page.write(left + 0.17, top + 4.49, shorten(captions[index], 62))
    return Path(path)


def _captions(captions: Sequence[str] | None, molecules: list) -> list[str]:
    counts = [m.GetNumConformers() for m in molecules]
    defaults = [f"{n} conformer{'' if n == 1 else 's'}" for n in counts]
    return captions_of(captions, defaults, "molecules")


def _blocks(molecule) -> list[str]:
    """Mol blocks of the aligned conformers, turned to the eye; the name line empty: names stand
    elsewhere in a page.
    """
    from rdkit import Chem
    from rdkit.Geometry import Point3D

    aligned = _aligned(molecule)
    turn = _view(aligned[0], aligned[0, _core(molecule)])

    copy = Chem.Mol(molecule)
    copy.SetProp("_Name", "")
    blocks = []
    for conformer, positions in zip(list(copy.GetConformers()), aligned @ turn.T):
        for atom, xyz in enumerate(positions):
            conformer.SetAtomPosition(atom, Point3D(*map(float, xyz)))
        blocks.append(Chem.MolToMolBlock(copy, confId=conformer.GetId(), kekulize=True))
    return blocks


def write_html(
    molecules, path, title: str = "Conformers", *, captions: Sequence[str] | None = None
) -> Path:
    """Write one HTML page with the conformers of molecules in interactive 3D; it needs no network
    to open.

    The page lists the molecules; of the chosen one it shows a single conformer (slider, arrow keys)
    or all. Its content security policy forbids every request to the outside. Names and captions are
    escaped.

    Args:
        molecules: an RDKit Mol or a sequence of them, each with at least one conformer.
        path: of the page.
        title: of the page.
        captions: one line of text for each molecule; None: the number of conformers.

    Returns: `path`.
    Raises: ValueError if there is nothing to show.
    """
    molecules = _check(molecules)
    captions = _captions(captions, molecules)
    return pages.write(
        path,
        title,
        [record(m, caption, index) for index, (m, caption) in enumerate(zip(molecules, captions))],
        hint="drag to turn, scroll to zoom, arrow keys step through the conformers",
    )


def record(molecule, caption: str, index: int = 0) -> dict:
    """What a page (`geodiff.pictures.page.write`) holds of a molecule: its conformers laid on each
    other.

    Args:
        molecule: with at least one conformer.
        caption: a line of text.
        index: names the molecule where it has no name of its own.
    """
    symbols = {atom.GetSymbol() for atom in molecule.GetAtoms()}
    return {
        "kind": "molecule",
        "name": _name(molecule, index),
        "caption": caption,
        "detail": _smiles(molecule),
        "blocks": _blocks(molecule),
        "colours": {symbol: COLOURS[symbol] for symbol in sorted(symbols & COLOURS.keys())},
    }
