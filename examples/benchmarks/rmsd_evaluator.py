"""How much faster is the RMSD matrix than RDKit's GetBestRMS, and do they agree?

Sets: the 53 QM9-size GFN2-xTB ensembles that ship, compared with themselves; five drugs that
ETKDGv3 embeds here, L = 50 (the median of GEOM-DRUGS) and K = 2 L; and any SDF ensembles given with
--data, compared with themselves. Ours is timed whole: hydrogens removed, symmetries found, all L x
K pairs aligned. GetBestRMS is timed on a random part of the same pairs, twice: alone, with
hydrogens removed beforehand, and as published evaluations call it, GetBestRMS(RemoveHs(a),
RemoveHs(b)). One thread each, CPU time. The fixed cost of a molecule is shared by its pairs, so
that the ratio grows with the ensembles.

    python examples/benchmarks/rmsd_evaluator.py [--fast] [--data FILE.sdf.gz ...]
"""

import argparse
import time
from pathlib import Path

import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem import rdMolAlign

from geodiff.domains.molecules.baselines import etkdg
from geodiff.domains.molecules.io import read_ensembles
from geodiff.domains.molecules.rmsd import rmsd_matrix, symmetries
from geodiff.paths import data_path

# Imatinib, sildenafil, diclofenac, aripiprazole, nitrendipine: 19 to 37 heavy atoms, 2 to 8
# symmetries.
DRUGS = [
    "Cc1ccc(NC(=O)c2ccc(CN3CCN(C)CC3)cc2)cc1Nc1nccc(-c2cccnc2)n1",
    "CCCc1nn(C)c2c(=O)[nH]c(-c3cc(S(=O)(=O)N4CCN(C)CC4)ccc3OCC)nc12",
    "O=C([O-])Cc1ccccc1Nc1c(Cl)cccc1Cl",
    "O=C1CCc2ccc(OCCCCN3CCN(c4cccc(Cl)c4Cl)CC3)cc2N1",
    "CCOC(=O)C1=C(C)NC(C)=C(C(=O)OC)[C@H]1c1cccc([N+](=O)[O-])c1",
]
EXPECTED_DIFFERENCE = 1e-6  # angstrom
# Times of GetBestRMS alone and as published over ours; neighbours on a shared machine move them by
# half.
EXPECTED = {"QM9 size": "2-10, 10-60", "drug size, fast": "5-30, 40-200"}
EXPECTED_DRUGS = "40-120, 200-700"


def compare(
    title: str, pairs: list[tuple[Chem.Mol, Chem.Mol]], samples: int, seed: int = 0
) -> float:
    """Print two lines for a set of (reference, generated) ensembles; returns the largest
    difference.
    """
    generator = np.random.default_rng(seed)
    ours = alone = published = worst = 0.0
    count = alignments = sampled = 0
    for reference, generated in pairs:
        start = time.process_time()
        matrix = rmsd_matrix(reference, generated)
        ours += time.process_time() - start
        count += matrix.size
        rows = [conformer.GetId() for conformer in reference.GetConformers()]
        columns = [conformer.GetId() for conformer in generated.GetConformers()]
        with rdBase.BlockLogs():
            bare = Chem.RemoveHs(generated)
        alignments += matrix.size * len(symmetries(bare, bare).permutations)
        for flat in generator.choice(matrix.size, size=min(samples, matrix.size), replace=False):
            i, j = divmod(int(flat), matrix.shape[1])
            # GetBestRMS moves its first molecule by a rotation that is good to 1e-6: give it a
            # fresh one each time.
            a, b = Chem.Mol(reference, confId=rows[i]), Chem.Mol(generated, confId=columns[j])
            with rdBase.BlockLogs():
                first, second = Chem.RemoveHs(a), Chem.RemoveHs(b)
            start = time.process_time()
            value = rdMolAlign.GetBestRMS(first, second)
            alone += time.process_time() - start
            start = time.process_time()
            rdMolAlign.GetBestRMS(Chem.RemoveHs(a), Chem.RemoveHs(b))
            published += time.process_time() - start
            worst = max(worst, abs(value - matrix[i, j]))
            sampled += 1
    ours, alone, published = (
        1e6 * seconds / n for seconds, n in ((ours, count), (alone, sampled), (published, sampled))
    )
    print(
        f"{title}: {len(pairs)} molecules, {count} pairs, {alignments} alignments; largest "
        f"difference from GetBestRMS {worst:.1e} A on {sampled} pairs (expected < "
        f"{EXPECTED_DIFFERENCE:.0e})\n    us a pair: GetBestRMS {alone:.1f}, as published "
        f"{published:.1f}, ours {ours:.2f}: ratio {alone / ours:.0f}, {published / ours:.0f} "
        f"(expected {EXPECTED.get(title, EXPECTED_DRUGS)})",
        flush=True,
    )
    return worst


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fast", action="store_true", help="two drugs and L = 15")
    parser.add_argument(
        "--data", type=Path, nargs="*", default=[], help="SDF ensembles, each against itself"
    )
    arguments = parser.parse_args()
    shipped = data_path("conformers", "qm9size_gfn2", "qm9test_gfn2_etkdg.sdf.gz")
    compare("QM9 size", [(m, m) for m in read_ensembles(shipped)], 15)
    references, drugs = (15, DRUGS[2:4]) if arguments.fast else (50, DRUGS)
    ensembles = [
        (etkdg(smiles, references, seed=1), etkdg(smiles, 2 * references, seed=1001))
        for smiles in drugs
    ]
    compare("drug size, fast" if arguments.fast else "drug size", ensembles, 150)
    for path in arguments.data:
        compare(path.name.split(".")[0], [(m, m) for m in read_ensembles(path)], 15)


if __name__ == "__main__":
    main()
