"""Training data of the conformer task: GFN2-xTB ensembles of many SMILES, chunk by chunk."""

import hashlib
import shutil
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from geodiff.domains.molecules.ensembles import Ensemble, merge, save_ensembles
from geodiff.domains.molecules.gfn2 import Recipe, choose_stereoisomer, make_ensemble
from geodiff.domains.molecules.io import Failure, read_failures, write_failures
from geodiff.jobs.pool import Failed, run_each
from geodiff.jobs.resume import check_same_run, folder_for


def _chunk_file(folder: Path, index: int) -> Path:
    return folder / f"chunk_{index:05d}.npz"


def _make(task: tuple[int, str, Recipe]) -> Ensemble:
    """The ensemble of one molecule, as `prepare` starts it in a process of its own."""
    from rdkit import RDLogger

    RDLogger.DisableLog("rdApp.*")  # type: ignore[attr-defined]  # its stubs lack it
    place, smiles, recipe = task
    seed = zlib.crc32(smiles.encode()) & 0x7FFFFFFF
    isomer = choose_stereoisomer(smiles, seed)
    if isomer is None:
        raise ValueError(f"{smiles}: no embeddable stereoisomer")
    return make_ensemble(isomer, seed, place % recipe.other_seeds_every == 0, recipe)


def _skeleton(smiles: str) -> str | None:
    from rdkit import Chem

    molecule = Chem.MolFromSmiles(smiles)
    return None if molecule is None else Chem.MolToSmiles(molecule, isomericSmiles=False)


def hold_out(smiles: Iterable[str], held_out: Iterable[str]) -> list[str]:
    """`smiles` without those whose canonical SMILES, stereo ignored, is in `held_out`; duplicates
    dropped too.

    Args:
        smiles: those that cannot be read are dropped too.
        held_out: SMILES to leave out.
    """
    banned = {_skeleton(s) for s in held_out}
    seen: set[str] = set()
    kept = []
    for s in smiles:
        key = _skeleton(s)
        if key is not None and key not in banned and key not in seen:
            seen.add(key)
            kept.append(s)
    return kept


def prepare(
    smiles: Sequence[str],
    out: Path,
    *,
    workers: int = 2,
    chunk_size: int = 20,
    recipe: Recipe = Recipe(),
    time_limit: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, int]:
    """Make ensembles of `smiles` under `out`, one file per chunk; a second call goes on where the
    first stopped.

    Writes `chunk_*.npz`, `failures.csv`, `recipe.json` and at the end `ensembles.npz`, all chunks
    in one file sorted by SMILES. An error, a crash or a hang costs one molecule; it is named in
    `failures.csv` and not tried again. The files do not depend on the number of processes.

    Args:
        smiles: the molecules; stereo that they leave open is chosen.
        out: a folder.
        workers: processes, at least 1.
        chunk_size: molecules in a file.
        recipe: how an ensemble is made.
        time_limit: seconds a molecule may take; None takes twice what its xtb calls may take.
        progress: called as progress(done, total) after every chunk.

    Returns:
        Counts: "made" and "failed" molecules of this call, and "chunks", all files.

    Raises:
        RuntimeError: if the `xtb` program is missing.
        ValueError: if `out` holds a run of other input.
    """
    if shutil.which("xtb") is None:
        raise RuntimeError(
            "prepare needs the xtb program: apt-get install xtb, or conda install xtb"
        )
    out = folder_for(Path(out))
    rows = list(enumerate(smiles))
    chunks = [rows[i : i + chunk_size] for i in range(0, len(rows), chunk_size)]
    asked = {
        **asdict(recipe),
        "chunk_size": chunk_size,
        "molecules": len(rows),
        "smiles_sha256": hashlib.sha256("\n".join(smiles).encode()).hexdigest(),
    }
    files = [_chunk_file(out, i) for i in range(len(chunks))]
    check_same_run(out / "recipe.json", asked, begun=any(file.exists() for file in files))
    missing = {i: chunk for i, chunk in enumerate(chunks) if not files[i].exists()}
    counts = {"made": 0, "failed": 0, "chunks": len(chunks)}

    def finished(index: int, outcomes: Sequence[Ensemble | Failed]) -> None:
        made = [one for one in outcomes if not isinstance(one, Failed)]
        failures = [
            Failure(place, "", text, one.reason)
            for (place, text), one in zip(missing.pop(index), outcomes)
            if isinstance(one, Failed)
        ]
        _list_also(out / "failures.csv", failures)
        save_ensembles(files[index], made)
        counts["made"] += len(made)
        counts["failed"] += len(failures)
        if progress is not None:
            progress(len(chunks) - len(missing), len(chunks))

    if time_limit is None:
        time_limit = 2 * (recipe.optimisations_max + 1) * recipe.xtb_timeout_s
    _run(missing, recipe, workers=workers, limit=time_limit, finished=finished)
    merge(files, out / "ensembles.npz")
    return counts


def _run(
    chunks: Mapping[int, Sequence[tuple[int, str]]],
    recipe: Recipe,
    *,
    workers: int,
    limit: float,
    finished: Callable[[int, list[Ensemble | Failed]], None],
) -> None:
    """Work on the molecules of all chunks; `finished` hears of a chunk when its last one has
    ended.
    """
    tasks = [(index, place, text) for index, chunk in chunks.items() for place, text in chunk]
    left = {index: len(chunk) for index, chunk in chunks.items()}
    outcomes: dict[int, list] = {index: [] for index in chunks}

    def done(number: int, outcome: Ensemble | Failed) -> None:
        index = tasks[number][0]
        outcomes[index].append((number, outcome))
        left[index] -= 1
        if not left[index]:
            ordered = sorted(outcomes.pop(index), key=lambda pair: pair[0])
            finished(index, [one for _, one in ordered])

    run_each(
        _make,
        [(place, text, recipe) for _, place, text in tasks],
        workers=workers,
        limit=limit,
        done=done,
    )


def _list_also(path: Path, failures: Sequence[Failure]) -> None:
    """Add failures to the list of this run, or of the one that it goes on from."""
    if failures:
        known = {failure.index: failure for failure in read_failures(path)} if path.exists() else {}
        known |= {failure.index: failure for failure in failures}
        write_failures(path, [known[index] for index in sorted(known)])
