"""Pictures of backbones: an HTML page of cartoons that needs no network, and a PNG of contacts and
torsions.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from geodiff.domains.chains import metrics
from geodiff.domains.chains.chain import Chain
from geodiff.domains.chains.geometry import dihedral
from geodiff.paths import data_path
from geodiff.pictures import page as pages
from geodiff.pictures.shown import captions_of, several
from geodiff.pictures.style import BLUE, CYAN, GREEN, INK, RED, YELLOW, sheet, shorten

N_TO_C = (BLUE, CYAN, GREEN, YELLOW, RED)  # first residue to last
KINDS = {"H": RED, "E": YELLOW, "-": "#8b97a5"}  # helix, strand, neither
_UNIT = 0.01  # angstrom, of coordinates in a page
_JOINED = 3.0  # angstrom between C and N: no ribbon is drawn across a longer one
_FARTHEST = 24.0  # angstrom, where the scale of contact maps ends


def page(
    chains: Chain | Sequence[Chain],
    path: str | Path,
    title: str = "Backbones",
    *,
    captions: Sequence[str] | None = None,
) -> Path:
    """Write one HTML page with the backbones as cartoons to turn, one at a time or all at once;
    returns its path.

    Secondary structure is that of `metrics` (pydssp, extra `viz`); without it the viewer finds its
    own, and most numbers are left out, as they are for chains of fewer than 5 or more than 2000
    residues.

    Args:
        chains: one or more.
        path: of the page.
        title: of the page.
        captions: one line of text for each chain; None: length and shares of helix and strand.

    Raises: ValueError if there is no chain.
    """
    records = [record(chain) for chain in _check(chains)]
    texts = captions_of(captions, [made["caption"] for made in records], "chains")
    records = [made | {"caption": text} for made, text in zip(records, texts)]
    return pages.write(path, title, records, hint="drag to turn, scroll to zoom")


def record(chain: Chain, caption: str | None = None) -> dict:
    """What a page (`geodiff.pictures.page.write`) holds of a chain: its atoms, longest side across,
    and what was measured.

    Args:
        chain: what is shown.
        caption: a line of text; None: what was measured.
    """
    measured = _measured(chain)
    structure = None if measured is None else measured.structure
    facts, shares = [["residues", str(len(chain))]], ""
    if measured is not None:
        shares = f", {measured.helix:.0%} helix, {measured.strand:.0%} strand"
        facts += [
            ["helix", f"{measured.helix:.0%}"],
            ["strand", f"{measured.strand:.0%}"],
            ["radius of gyration, Rg", f"{measured.rg:.1f} \N{ANGSTROM SIGN}"],
            ["Rg over 2.2 N^0.38", f"{measured.rg_ratio:.2f}"],
            ["phi < 0", f"{measured.phi_negative:.0%}"],
        ]
    facts.append(["clashes", str(metrics.clashes(chain.coords))])
    bonds = np.linalg.norm(chain.coords[1:, 0] - chain.coords[:-1, 2], axis=-1)
    return {
        "kind": "backbone",
        "name": chain.name,
        "caption": f"{len(chain)} residues{shares}" if caption is None else caption,
        "facts": facts,
        "coords": pages.whole(_turned(chain.coords), _UNIT),
        "structure": structure,
        "cuts": (np.flatnonzero(chain.gaps | (bonds > _JOINED)) + 1).tolist(),
        "ramp": list(N_TO_C),
        "kinds": KINDS,
    }


def picture(
    chains: Chain | Sequence[Chain], path: str | Path, *, title: str | None = None, maps: int = 6
) -> Path:
    """Write a PNG: CA distances of some chains, and the torsions of all on the map of real ones.

    A strip along each map says where helices and strands are (with pydssp). The contours hold 98 %
    and 99.8 % of real residues; those outside the wider one are marked.

    Args:
        chains: one or more.
        path: of the picture.
        title: above it.
        maps: of how many chains, the first ones, distances are drawn.

    Returns: `path`.
    Raises: ValueError if there is nothing to draw, ModuleNotFoundError without matplotlib.
    """
    chains = _check(chains)
    if maps < 1:
        raise ValueError(f"maps: expected at least 1, got {maps}")
    shown = chains[:maps]
    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    left, gap, head, plane = 0.75, 0.62, 0.8 if title else 0.5, 3.6 if rows == 1 else 5.0  # inches
    tile = (plane - (min(rows, 2) - 1) * gap) / min(rows, 2)
    right = left + columns * (tile + 0.3)
    size = right + 1.55 + plane + 0.3, head + rows * (tile + gap) - gap + 0.75
    with sheet(path, *size) as page:
        page.title(title)
        image = None
        for index, chain in enumerate(shown):
            x = left + index % columns * (tile + 0.3)
            y = head + index // columns * (tile + gap) + 0.1
            image = _contact_map(page.box(x, y, tile, tile), chain)
            _strips(page.box(x, y - 0.1, tile, 0.07), page.box(x - 0.1, y, 0.07, tile), chain)
            page.write(x, y - 0.15, shorten(f"{chain.name}, {len(chain)} residues", 34))
        page.write(
            left - 0.1,
            size[1] - 0.17,
            "line: 8 \N{ANGSTROM SIGN}; bars: helix red, strand yellow",
            fontsize=8,
        )
        bar = page.scale(
            image,
            page.box(right - 0.12, head + 0.1, 0.11, tile),
            "CA\N{EN DASH}CA distance (\N{ANGSTROM SIGN})",
        )
        bar.set_ticks([0, 8, 16, 24], labels=["0", "8", "16", "\N{GREATER-THAN OR EQUAL TO}24"])
        _ramachandran(page.box(right + 1.4, head + 0.1, plane, plane), chains)
        page.write(left - 0.5, head - 0.05, "a", fontsize=12, fontweight="bold")
        page.write(right + 0.8, head - 0.05, "b", fontsize=12, fontweight="bold")
    return Path(path)


def torsions(chain: Chain) -> tuple[np.ndarray, np.ndarray]:
    """phi and psi in degrees, (n,), nan where a neighbour is missing.

    Args:
        chain: n residues.
    """
    n, ca, c, _ = chain.coords.transpose(1, 0, 2)
    phi, psi = np.full((2, len(chain)), np.nan)
    phi[1:] = np.where(chain.gaps, np.nan, dihedral(c[:-1], n[1:], ca[1:], c[1:]))
    psi[:-1] = np.where(chain.gaps, np.nan, dihedral(n[:-1], ca[:-1], c[:-1], n[1:]))
    return phi, psi


def _contact_map(axes, chain: Chain):
    ca = chain.coords[:, 1]
    distance = np.linalg.norm(ca[:, None] - ca[None], axis=-1)
    edge = len(chain) + 0.5
    image = axes.imshow(
        distance,
        cmap="magma",
        vmin=0,
        vmax=_FARTHEST,
        interpolation="nearest",
        extent=(0.5, edge, edge, 0.5),
    )
    if len(chain) > 1:
        axes.contour(
            np.arange(1, len(chain) + 1),
            np.arange(1, len(chain) + 1),
            distance,
            levels=[metrics.CONTACT],
            colors="white",
            linewidths=0.35,
            alpha=0.7,
        )
    ticks = [1, *range(_spacing(len(chain)), len(chain) + 1, _spacing(len(chain)))]
    axes.set(xticks=ticks, yticks=[])
    return image


def _spacing(n: int) -> int:
    return next((step for step in (1, 2, 5, 10, 20, 25, 50, 100, 200) if n / step <= 5.2), 500)


def _strips(above, beside, chain: Chain) -> None:
    """Helices and strands along the two sides of a map."""
    measured = _measured(chain)
    for axes in (above, beside):
        axes.set_axis_off()
    if measured is None:
        return
    from matplotlib.colors import to_rgb

    colours = np.array(
        [to_rgb(KINDS[kind] if kind != "-" else "#eceff3") for kind in measured.structure]
    )
    above.imshow(colours[None], aspect="auto", interpolation="nearest")
    beside.imshow(colours[:, None], aspect="auto", interpolation="nearest")


def _ramachandran(axes, chains: Sequence[Chain]) -> None:
    with np.load(data_path("proteins", "rama_map.npz")) as file:
        density, inside, outside = (file[name] for name in ("density", "level98", "level998"))
    size = len(density)
    # The map again on each side: contours close across the edges of the torus.
    tiled = np.tile(density, (3, 3))
    centres = (np.arange(3 * size) + 0.5) * 360 / size - 540
    axes.contourf(
        centres,
        centres,
        tiled.T,
        levels=[float(outside), float(inside), 1.01 * density.max()],
        colors=["#e6edf7", "#c3d4ee"],
    )
    axes.contour(
        centres,
        centres,
        tiled.T,
        levels=[float(outside), float(inside)],
        colors=["#9db5da", "#6b8dc4"],
        linewidths=0.8,
    )
    phi, psi = (np.concatenate(part) for part in zip(*map(torsions, chains)))
    both = np.isfinite(phi) & np.isfinite(psi)
    phi, psi = phi[both], psi[both]
    value = metrics.rama_density(phi, psi)
    odd = value < outside
    small = 9 if len(phi) < 400 else 4 if len(phi) < 3000 else 1.5
    axes.scatter(
        phi[~odd],
        psi[~odd],
        s=small,
        color=INK,
        alpha=0.75 if len(phi) < 1500 else 0.4,
        linewidths=0,
    )
    axes.scatter(phi[odd], psi[odd], s=small * 1.6, color=KINDS["H"], linewidths=0)
    ticks = [-180, -90, 0, 90, 180]
    axes.set(xlim=(-180, 180), ylim=(-180, 180), xticks=ticks, yticks=ticks, aspect="equal")
    axes.set_xlabel("phi (degrees)")
    axes.set_ylabel("psi (degrees)", labelpad=1)
    if len(phi):
        axes.set_title(
            f"{len(phi)} residues: {np.mean(value >= inside):.1%} within the 98 % contour of real "
            f"ones,\n{odd.mean():.1%} outside the 99.8 % contour",
            loc="left",
            pad=5,
        )


def _measured(chain: Chain) -> metrics.Measures | None:
    """All measures of a chain; None without pydssp and for lengths that are not measured."""
    if not 5 <= len(chain) <= metrics.MAX_RESIDUES:
        return None
    try:
        return metrics.measure(chain)
    except ModuleNotFoundError:
        return None


def _turned(coords: np.ndarray) -> np.ndarray:
    """Atoms (n, 4, 3) about their centre, turned so that their longest side is across and the
    shortest to the eye.
    """
    centred = coords - coords.mean((0, 1))
    axes = np.linalg.svd(centred.reshape(-1, 3), full_matrices=False)[2]
    axes[2] = np.cross(axes[0], axes[1])  # a rotation, never a reflection
    return centred @ axes.T


def _check(chains: Chain | Sequence[Chain]) -> list[Chain]:
    return several(chains, Chain, "chains", "read files with geodiff.proteins.read")
