"""Training sets of the conformer task: featurised molecules with their ensembles, and their
collation.
"""

import copy
import logging
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from rdkit import Chem

from geodiff.domains.molecules.ensembles import Ensemble, ensemble_of, load_ensembles
from geodiff.domains.molecules.features import collate, featurise
from geodiff.domains.molecules.io import read_ensembles
from geodiff.training.batch import TrainingBatch
from geodiff.training.datamodule import TaskData
from geodiff.training.split import split_groups

with warnings.catch_warnings():
    # torch-geometric 2.8 scripts a class as it is imported, and torch 2.13 warns of that.
    warnings.simplefilter("ignore", DeprecationWarning)
    from torch_geometric.data import Data, Dataset

logger = logging.getLogger(__name__)


class EnsembleDataset(Dataset):
    """Conformer ensembles for training: item by item the features of a molecule and one conformer,
    drawn anew at every visit.

    A molecule with k conformers appears ceil(sqrt(k)) times an epoch: flexible molecules need more
    visits, yet the benchmark counts every molecule once. An item is what
    `geodiff.domains.molecules.features.featurise` makes, with `pos` (n, 3) float32, angstrom.

    Args:
        ensembles: molecules with their conformers.
        transform: of torch_geometric, applied to an item at every visit.
    """

    def __init__(
        self, ensembles: Sequence[Ensemble], *, transform: Callable[[Data], Data] | None = None
    ):
        super().__init__(transform=transform)
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

    @property
    def sizes(self) -> list[int]:
        """Atoms of each item."""
        return [self.molecules[self.items[i]].num_nodes for i in self.indices()]

    def len(self) -> int:
        """How many items an epoch has."""
        return len(self.items)

    def get(self, idx: int) -> Data:
        """An item; its features are shared, its conformer is its own.

        Args:
            idx: its place.
        """
        molecule = self.items[idx]
        conformers = self.positions[molecule]
        item = copy.copy(self.molecules[molecule])
        item.pos = conformers[int(torch.randint(len(conformers), ()))]
        return item


def collate_training(items: Sequence[Data]) -> TrainingBatch:
    """Padded, centred `TrainingBatch` of molecules with positions; its condition is a
    `MoleculeBatch`.

    Args:
        items: of an `EnsembleDataset`.
    """
    condition = collate(items)
    clean = torch.zeros(*condition.mask.shape, 3)
    for row, item in enumerate(items):
        clean[row, : len(item.pos)] = item.pos - item.pos.mean(0)
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
    used are skipped and named in a warning.

    Args:
        path: of the file or the folder.
        validation: how many molecules are for validation, drawn from the sorted list, the same for
            the same data; at most a tenth.
        seed: of their drawing.

    Raises: FileNotFoundError or ValueError naming the path.
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
    train, held = split_groups([1] * len(ensembles), validation, seed)
    return [ensembles[i] for i in sorted(train)], [ensembles[i] for i in sorted(held)]


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
