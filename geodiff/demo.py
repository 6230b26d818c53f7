"""The first thing to run: molecules, backbones, grasps and digits from the shipped weights, on one
page to open.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from pathlib import Path

import numpy as np
import torch

from geodiff.pictures import page
from geodiff.process.field import Field
from geodiff.training.models import device_of, trained
from geodiff.training.weights import load

DRUGS = {
    "aspirin": "CC(=O)Oc1ccccc1C(=O)O",
    "(S)-ibuprofen": "CC(C)Cc1ccc(cc1)[C@H](C)C(=O)O",
    "paracetamol": "CC(=O)Nc1ccc(O)cc1",
}
LENGTHS = (60, 80, 100)  # residues of the backbones
# kind and seed: none is in training data
OBJECTS = (("mug", 97_800_000), ("bottle", 97_800_002), ("bowl", 97_800_001))
GRASPS = 60  # of each object
BEST = 10  # of these are tried in simulation
DIGITS = 10  # of each class
_SURFACE = 4000  # points of an object for the collision check


@dataclass
class _Part:
    """What one task has to show."""

    title: str
    records: list[dict]
    numbers: str
    whole: bool  # all that was asked for, as it should be
    files: list[str] = dataclass_field(default_factory=list)


def demo(
    out: Path,
    *,
    n: int = 20,
    seed: int = 0,
    model: str | Path | None = None,
    device: str | torch.device = "auto",
    report: Callable[[str], None] = lambda line: None,
) -> bool:
    """Draw samples of every task with the shipped weights and write them, with the page
    `demo.html`, into `out`.

    Pictures are left out where matplotlib is missing; a task whose weights are missing is named on
    the page and in the numbers.

    Args:
        out: folder for the results.
        n: conformers of each of `DRUGS`.
        seed: the same seed makes the same samples.
        model: weights of the conformers, a path or a shipped name; None takes the shipped default.
        device: "auto", "cpu", "cuda", "cuda:1".
        report: gets a line for each sample, and one of numbers at the end.

    Returns: whether every task delivered all of its samples, each conformer with the stereo of its
        SMILES.
    """
    out, device = Path(out), device_of(device)
    if out.exists() and not out.is_dir():
        raise NotADirectoryError(f"out: {out} is a file; give a folder")
    out.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    report(f"conformers, protein backbones, grasps and digits; results in {out.resolve()}")
    parts = [_conformers(out, n, seed, model, device, report)]
    for make in (_backbones, _grasps, _digits):
        parts.append(make(out, seed, device, report))
    records = [{**record, "group": part.title} for part in parts for record in part.records]
    page.write(
        out / "demo.html",
        "geodiff",
        records,
        layout="grid",
        hint="made on this machine from noise, just now; drag to turn, scroll to zoom",
    )
    files = ["demo.html", *(name for part in parts for name in part.files)]
    report(f"wrote {', '.join(files)}; open demo.html in a browser (it needs no network)")
    report(
        ";  ".join(
            [*(part.numbers for part in parts), f"seconds {time.perf_counter() - start:.1f}"]
        )
    )
    return all(part.whole for part in parts)


def _conformers(
    out: Path,
    n: int,
    seed: int,
    model: str | Path | None,
    device: torch.device,
    report: Callable[[str], None],
) -> _Part:
    from geodiff.conformers.model import DEFAULT_MODEL
    from geodiff.conformers.sampling import sample
    from geodiff.domains.molecules import view
    from geodiff.domains.molecules.io import SdfWriter
    from geodiff.domains.molecules.stereo import matches_smiles

    title = "Conformers of molecules"
    field = trained(model, "conformers", DEFAULT_MODEL, device=device)
    molecules, captions, delivered, right, repaired = [], [], 0, 0, 0
    with SdfWriter(out / "conformers.sdf") as writer:
        for name, smiles in DRUGS.items():
            before = time.perf_counter()
            # None: not one conformer came out right
            (molecule,) = sample([smiles], n=n, seed=seed, model=field)
            seconds = time.perf_counter() - before
            ids = [c.GetId() for c in molecule.GetConformers()] if molecule else []
            good = sum(matches_smiles(molecule, i, smiles) for i in ids)
            mended = len(molecule.GetProp("repaired").split()) if molecule else 0
            caption = (
                f"{len(ids)} of {n} delivered, stereo right in {good}, replaced {mended}, "
                f"{seconds:.1f} s"
            )
            report(f"  {name:15} {caption}")
            delivered, right, repaired = delivered + len(ids), right + good, repaired + mended
            if ids:
                molecule.SetProp("_Name", name)
                writer.write(molecule, name, smiles)
                molecules.append(molecule)
                captions.append(caption)
    wanted = n * len(DRUGS)
    files = ["conformers.sdf"]
    records = [{**view.record(*pair), "detail": ""} for pair in zip(molecules, captions)]
    if molecules:
        files += _pictured(
            out / "conformers.png",
            report,
            lambda path: view.write_png(
                molecules, path, title="Conformers sampled by geodiff", captions=captions
            ),
        )
    return _Part(
        title,
        records or [page.missing(title, "No conformer was delivered.")],
        f"conformers {delivered}/{wanted}  stereo right {right}/{delivered}  repaired "
        f"{repaired}/{delivered}",
        delivered == right == wanted,
        files,
    )


def _backbones(out: Path, seed: int, device: torch.device, report: Callable[[str], None]) -> _Part:
    from geodiff import proteins
    from geodiff.domains.chains.metrics import C_N_RANGE, clashes
    from geodiff.proteins.model import DEFAULT_MODEL

    title = "Protein backbones"
    field, absent = _weights(title, DEFAULT_MODEL, device, report)
    if absent:
        return absent
    before = time.perf_counter()
    chains = proteins.sample(list(LENGTHS), seed=seed, model=field)
    seconds = time.perf_counter() - before
    records, files, bonds_right, hits = [], [], [], 0
    for chain in chains:
        bonds = np.linalg.norm(chain.coords[1:, 0] - chain.coords[:-1, 2], axis=-1)
        right = (bonds >= C_N_RANGE[0]) & (bonds <= C_N_RANGE[1])
        hit = clashes(chain.coords)
        bonds_right.append(right)
        hits += hit
        record = proteins.view.record(chain)
        record["caption"] += f"; bonds between residues right in {right.mean():.0%}, {hit} clashes"
        records.append({**record, "name": f"{len(chain)} residues"})
        files.append(f"backbone_{len(chain)}.pdb")
        proteins.write(out / files[-1], chain)
        report(f"  {record['caption']}")
    files += _pictured(
        out / "backbones.png",
        report,
        lambda path: proteins.view.picture(chains, path, title="Backbones sampled by geodiff"),
    )
    numbers = (
        f"backbones {len(chains)}/{len(LENGTHS)}  C-N right "
        f"{np.concatenate(bonds_right).mean():.3f}  clashes per 100 residues "
        f"{100 * hits / sum(map(len, chains)):.1f}  in {seconds:.1f} s"
    )
    return _Part(title, records, numbers, len(chains) == len(LENGTHS), files)


def _grasps(out: Path, seed: int, device: torch.device, report: Callable[[str], None]) -> _Part:
    from geodiff import grasps
    from geodiff.domains.bodies.simulate import label
    from geodiff.domains.bodies.surface import sample_surface
    from geodiff.grasps.model import DEFAULT_MODEL

    title = "Grasps of objects not seen in training"
    field, absent = _weights(title, DEFAULT_MODEL, device, report)
    if absent:
        return absent
    records, files, free, held, tried = [], [], [], 0, 0
    for kind, number in OBJECTS:
        item = grasps.make_object(kind, number)
        before = time.perf_counter()
        made = grasps.sample(item, GRASPS, seed=seed, model=field)
        seconds = time.perf_counter() - before
        surface, _ = sample_surface(item.vertices, item.faces, _SURFACE, np.random.default_rng(0))
        clear = ~grasps.gripper.collides(
            torch.from_numpy(made.poses), torch.from_numpy(surface)
        ).numpy()
        free.append(clear)
        caption = f"{len(made)} grasps in {seconds:.1f} s, {clear.mean():.0%} free of collision"
        with suppress(ModuleNotFoundError):  # without mujoco nothing is lifted
            success = label(made[:BEST]).success
            held, tried = held + int(success.sum()), tried + len(success)
            caption += f", {success.sum()} of the best {len(success)} hold in simulation"
        report(f"  {kind:15} {caption}")
        records.append(grasps.view.record(item, made.poses, made.cost, caption=caption, name=kind))
        files.append(f"grasps_{kind}.npz")
        grasps.write_grasps(out / files[-1], made)
        if len(records) == 1:
            pictured = _pictured(
                out / "grasps.png",
                report,
                lambda path, item=item, made=made: grasps.view.picture(
                    item, made.poses, made.cost, path, title="Grasps sampled by geodiff"
                ),
            )
    numbers = f"grasps {sum(map(len, free))}  free of collision {np.concatenate(free).mean():.2f}"
    return _Part(
        title,
        records,
        numbers + (f"  best that hold {held}/{tried}" if tried else ""),
        sum(map(len, free)) == GRASPS * len(OBJECTS),
        files + pictured,
    )


def _digits(out: Path, seed: int, device: torch.device, report: Callable[[str], None]) -> _Part:
    from geodiff import images
    from geodiff.images.model import DEFAULT_MODEL

    title = "Images of digits"
    field, absent = _weights(title, DEFAULT_MODEL, device, report)
    if absent:
        return absent
    before = time.perf_counter()
    made = images.sample(range(10), DIGITS, seed=seed, model=field)
    seconds = time.perf_counter() - before
    real = images.read("digits")
    nearest = torch.cdist(made.flatten(1), real.pixels.flatten(1)).argmin(1)
    right = int((real.labels[nearest] == torch.arange(10).repeat_interleave(DIGITS)).sum())
    caption = (
        f"a row for each digit asked for; the nearest of {len(real)} real ones is that digit for "
        f"{right} of {len(made)}, {seconds:.1f} s"
    )
    report(f"  {'digits':15} {caption}")
    images.write_grid(made, out / "digits.png", columns=DIGITS)
    return _Part(
        title,
        [page.picture("digits", caption, out / "digits.png")],
        f"digits {right}/{len(made)}",
        len(made) == 10 * DIGITS,
        ["digits.png"],
    )


def _weights(
    title: str, name: str, device: torch.device, report: Callable[[str], None]
) -> tuple[Field | None, _Part | None]:
    """The shipped model and None; or None and the part that says that it is missing."""
    try:
        return load(name).to(device), None
    except FileNotFoundError:
        reason = f"This version ships no weights for this task: {name} is not there yet."
        report(f"  no {title.lower()}: this version ships no weights {name}")
        return None, _Part(title, [page.missing(title, reason)], f"no weights {name}", False)


def _pictured(path: Path, report: Callable[[str], None], draw: Callable[[Path], Path]) -> list[str]:
    """The name of the picture that `draw` wrote; none without matplotlib."""
    try:
        return [draw(path).name]
    except ModuleNotFoundError as error:
        report(f"  no {path.name}: {error}")
        return []
