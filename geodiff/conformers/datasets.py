"""Training sets of the conformer task: featurised molecules with their ensembles, and their
collation.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from rdkit import Chem
from torch import Tensor
from torch.utils.data import Dataset

from geodiff.domains.molecules.ensembles import Ensemble, ensemble_of, load_ensembles
from geodiff.domains.molecules.features import collate, featurise
from geodiff.domains.molecules.io import read_ensembles
from geodiff.training.batch import TrainingBatch
from geodiff.training.datamodule import TaskData

logger = logging.getLogger(__name__)


class EnsembleDataset(Dataset):
    """Conformer ensembles as training items: molecule features and one conformer, drawn anew at
    every visit.

    A molecule with k conformers appears ceil(sqrt(k)) times an epoch: flexible molecules need more
    visits, yet the benchmark counts every molecule once.
    """

    def __init__(self, ensembles: Sequence[Ensemble]):
        self.molecules = [featurise(Chem.AddHs(Chem.MolFromSmiles(e.smiles))) for e in ensembles]
        self.positions = [torch.from_numpy(e.positions) for e in ensembles]
        for ensemble, molecule in zip(ensembles, self.molecules):
            if ensemble.positions.shape[1] != molecule.num_nodes:
                raise ValueError(
                    f"ensembles: {ensemble.smiles} has {molecule.num_nodes} atoms, its positions "
                    f"{ensemble.positions.shape[1]}; rows must follow AddHs(MolFromSmiles(smiles))"
                )
        self.items = [
            i for i, p in enumerate(self.positions) for _ in range(round(len(p) ** 0.5 + 0.499))
        ]
        self.sizes = [self.molecules[i].num_nodes for i in self.items]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[object, Tensor]:
        molecule = self.items[index]
        conformers = self.positions[molecule]
        return self.molecules[molecule], conformers[int(torch.randint(len(conformers), ()))]


def collate_training(items: Sequence[tuple[object, Tensor]]) -> TrainingBatch:
    """Padded, centred `TrainingBatch` of (molecule, positions) items; its condition is a
    `MoleculeBatch`.
    """
    condition = collate([molecule for molecule, _ in items])
    clean = torch.zeros(*condition.mask.shape, 3)
    for row, (_, positions) in enumerate(items):
        clean[row, : len(positions)] = positions - positions.mean(0)
    return TrainingBatch(clean, condition, condition.mask)


def data(source: Path, *, batch_size: int = 64, seed: int = 0, workers: int = 0) -> TaskData:
    """The ensembles at `source` as a data module, for any `pytorch_lightning.Trainer`.

    Args:
        source: as `read_training_data` takes it.
        batch_size: molecules in a batch, at most.
        seed: of their order.
        workers: processes that load; 0 loads in this one.
    """
    training, validation = read_training_data(source)
    return TaskData(
        EnsembleDataset(training),
        EnsembleDataset(validation) if validation else None,
        collate_training,
        batch_size=batch_size,
        seed=seed,
        # 64 molecules of 24 atoms: pair tensors stay well below 32 MB, where the allocator turns
        # slow.
        pair_budget=576 * batch_size,
        workers=workers,
        facts={
            "molecules": len(training),
            "conformers": sum(len(e.positions) for e in training),
            "validation_molecules": len(validation),
        },
    )


def read_training_data(
    path: Path, *, validation: int = 100, seed: int = 0
) -> tuple[list[Ensemble], list[Ensemble]]:
    """Training and validation ensembles from an npz of `prepare`, an SDF, or all npz files of a
    folder.

    In an SDF (.sdf, .sdf.gz; one record per conformer, explicit hydrogens) molecules that cannot be
    used are skipped and named in a warning. `validation` molecules (at most a tenth) are drawn by
    `seed` from the sorted list, the same for the same data. Raises FileNotFoundError or ValueError
    naming the path.
    """
    path = Path(path)
    files = sorted(path.glob("*.npz")) if path.is_dir() else [path]
    if not files or not files[0].exists():
        raise FileNotFoundError(
            f"data: no ensembles at {path}; make them with: geodiff prepare conformers FILE -o DIR"
        )
    if not all(f.name.lower().endswith((".npz", ".sdf", ".sdf.gz")) for f in files):
        raise ValueError(
            "data: expected an .npz of `geodiff prepare`, an .sdf or .sdf.gz, or a folder, got "
            f"{path}"
        )
    unique = {
        e.smiles: e
        for f in files
        for e in (load_ensembles(f) if f.suffix == ".npz" else _from_sdf(f))
    }
    if not unique:
        raise ValueError(f"data: {path} holds no molecule")
    ensembles = [unique[smiles] for smiles in sorted(unique)]
    order = torch.randperm(len(ensembles), generator=torch.Generator().manual_seed(seed)).tolist()
    held = set(order[: min(validation, len(ensembles) // 10)])
    return (
        [e for i, e in enumerate(ensembles) if i not in held],
        [ensembles[i] for i in sorted(held)],
    )


def _from_sdf(path: Path) -> list[Ensemble]:
    ensembles = []
    for mol in read_ensembles(path):
        try:
            featurise(mol)
            ensembles.append(ensemble_of(mol))
        except ValueError as error:
            logger.warning(
                "%s: %s is skipped: %s", path.name, mol.GetProp("_Name") or "a molecule", error
            )
    return ensembles
