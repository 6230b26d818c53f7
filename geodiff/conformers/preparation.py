"""Training data of the conformer task: GFN2-xTB ensembles of many SMILES, chunk by chunk."""

import hashlib
import json
import shutil
import zlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path

from geodiff.domains.molecules.ensembles import merge, save_ensembles
from geodiff.domains.molecules.gfn2 import Recipe, choose_stereoisomer, make_ensemble
from geodiff.domains.molecules.io import Failure, read_failures, write_failures
from geodiff.files import replacing


def _chunk_file(folder: Path, index: int) -> Path:
    return folder / f"chunk_{index:05d}.npz"


def _make_chunk(task) -> tuple[int, list[Failure]]:
    """Ensembles of one chunk, written atomically; molecules made, and failures."""
    index, rows, folder, recipe = task
    from rdkit import RDLogger

    RDLogger.DisableLog("rdApp.*")
    made, failures = [], []
    for position, smiles in rows:
        seed = zlib.crc32(smiles.encode()) & 0x7FFFFFFF
        try:
            isomer = choose_stereoisomer(smiles, seed)
            if isomer is None:
                raise ValueError(f"{smiles}: no embeddable stereoisomer")
            made.append(
                make_ensemble(isomer, seed, position % recipe.other_seeds_every == 0, recipe)
            )
        except (ValueError, RuntimeError) as error:
            failures.append(Failure(position, "", smiles, str(error)))
    save_ensembles(_chunk_file(folder, index), made)
    return len(made), failures


def _skeleton(smiles: str) -> str | None:
    from rdkit import Chem

    molecule = Chem.MolFromSmiles(smiles)
    return None if molecule is None else Chem.MolToSmiles(molecule, isomericSmiles=False)


def hold_out(smiles: Iterable[str], held_out: Iterable[str]) -> list[str]:
    """`smiles` without those whose canonical SMILES, stereo ignored, is in `held_out`; duplicates
    dropped too.
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
    progress=None,
) -> dict:
    """Make ensembles of `smiles` under `out`, one file per chunk; a second call goes on where the
    first stopped.

    Writes `chunk_*.npz`, `failures.csv`, `recipe.json` and at the end `ensembles.npz`, all chunks
    in one file sorted by SMILES. `progress(done, total)` is called after every chunk. Returns
    counts.
    Raises RuntimeError if the `xtb` binary is missing; ValueError if `out` holds a run of other
    input.
    """
    if shutil.which("xtb") is None:
        raise RuntimeError(
            "prepare needs the xtb program: apt-get install xtb, or conda install xtb"
        )
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise NotADirectoryError(f"out: {out} is a file; give a folder")
    out.mkdir(parents=True, exist_ok=True)
    rows = list(enumerate(smiles))
    chunks = [rows[i : i + chunk_size] for i in range(0, len(rows), chunk_size)]
    _check_same_run(
        out / "recipe.json",
        {
            **asdict(recipe),
            "chunk_size": chunk_size,
            "molecules": len(rows),
            "smiles_sha256": hashlib.sha256("\n".join(smiles).encode()).hexdigest(),
        },
    )
    tasks = [
        (i, chunk, out, recipe)
        for i, chunk in enumerate(chunks)
        if not _chunk_file(out, i).exists()
    ]
    made = failed = 0
    listed = out / "failures.csv"
    known = {failure.index: failure for failure in read_failures(listed)} if listed.exists() else {}
    with ProcessPoolExecutor(workers) as pool:
        futures = [pool.submit(_make_chunk, task) for task in tasks]
        for done, future in enumerate(as_completed(futures), 1):
            count, failures = future.result()
            made += count
            failed += len(failures)
            if failures:
                known |= {failure.index: failure for failure in failures}
                write_failures(listed, [known[i] for i in sorted(known)])
            if progress is not None:
                progress(done + len(chunks) - len(tasks), len(chunks))
    merge([_chunk_file(out, i) for i in range(len(chunks))], out / "ensembles.npz")
    return {"made": made, "failed": failed, "chunks": len(chunks)}


def _check_same_run(path: Path, described: dict) -> None:
    """Write `described` to `path`; ValueError if a run with other molecules or another recipe
    stands there.
    """
    if path.exists():
        before = json.loads(path.read_text())
        changed = sorted(
            k for k in described.keys() | before.keys() if described.get(k) != before.get(k)
        )
        if changed:
            raise ValueError(
                f"out: {path.parent} holds a run with other {', '.join(changed)}; go on with the "
                "same input, or choose another folder"
            )
    with replacing(path) as part:
        part.write_text(json.dumps(described, indent=1) + "\n")
