"""Training end to end on a handful of real molecules: learning, resume, files, bad input."""

import json
import pickle
import signal

import pytest
import torch

from geodiff.conformers import train
from geodiff.conformers.datasets import EnsembleDataset, collate_training, read_training_data
from geodiff.conformers.model import corruption
from geodiff.conformers.objective import Objective
from geodiff.domains.molecules.ensembles import ensemble_of, save_ensembles
from geodiff.domains.molecules.features import collate, featurise
from geodiff.process.field import NetworkField
from geodiff.training import weights
from geodiff.training.batch import TrainingBatch
from geodiff.training.module import MatchingModule

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:torch"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:pytorch_lightning"),
]
SIZES = dict(
    width=32, layers=2, vector_width=8, batch_size=8, progress_bar=False, accelerator="cpu"
)


@pytest.fixture
def data(ensembles, tmp_path):
    path = tmp_path / "ensembles.npz"
    save_ensembles(path, [ensemble_of(mol) for mol in ensembles[:12]])
    return path


def test_training_writes_a_model_that_loads_and_its_card(data, tmp_path):
    document = train(data, tmp_path / "run", max_steps=6, **SIZES)
    field = weights.load(document)
    assert (
        field.card["steps"] == 6
        and field.card["molecules"] == 11
        and field.card["validation_molecules"] == 1
    )
    assert json.loads((tmp_path / "run" / "card.json").read_text())["seed"] == 0
    assert not list((tmp_path / "run").glob("*.part"))


def test_a_run_goes_on_where_it_stopped_and_is_never_overwritten(data, tmp_path):
    train(data, tmp_path / "run", max_steps=4, **SIZES)
    with pytest.raises(FileExistsError, match="resume"):
        train(data, tmp_path / "run", max_steps=8, **SIZES)
    document = train(data, tmp_path / "run", max_steps=8, resume=True, **SIZES)
    assert weights.load(document).card["steps"] == 8


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", pickle.dumps(print)], ids=["empty", "words", "a pickle"]
)
@pytest.mark.filterwarnings("ignore:Detected pickle protocol:UserWarning")
def test_a_damaged_checkpoint_is_refused_by_name(data, tmp_path, content):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "last.ckpt").write_bytes(content)
    with pytest.raises(ValueError, match="last.ckpt is damaged, or no checkpoint of ours"):
        train(data, tmp_path / "run", max_steps=4, resume=True, **SIZES)
    assert (tmp_path / "run" / "last.ckpt").read_bytes() == content


def test_a_run_of_another_size_is_not_gone_on_with(data, tmp_path):
    train(data, tmp_path / "run", max_steps=2, **SIZES)
    with pytest.raises(ValueError, match="of a network of other sizes"):
        train(data, tmp_path / "run", max_steps=4, resume=True, **SIZES | {"width": 64})


def test_an_interrupt_keeps_every_step_and_is_an_interrupt(data, tmp_path, monkeypatch, caplog):
    def step(self, batch, batch_idx):
        if self.global_step == 5:
            raise KeyboardInterrupt
        return learn(self, batch, batch_idx)

    learn, before = MatchingModule.training_step, signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(MatchingModule, "training_step", step)
    with pytest.raises(KeyboardInterrupt):
        train(data, tmp_path / "run", max_steps=8, **SIZES)
    assert "stopped after 5 steps" in caplog.text and signal.getsignal(signal.SIGINT) is before
    monkeypatch.undo()
    saved = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)
    assert saved["global_step"] == 5
    assert (
        weights.load(train(data, tmp_path / "run", max_steps=8, resume=True, **SIZES)).card["steps"]
        == 8
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_steps": 0},
        {"max_steps": -5},
        {"max_minutes": -1.0},
        {"learning_rate": -1.0},
        {"batch_size": 0},
        {"precision": "16"},
    ],
    ids=str,
)
def test_settings_that_make_no_run_are_named_and_write_nothing(data, tmp_path, wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}: expected"):
        train(data, tmp_path / "run", **SIZES | wrong)
    assert not (tmp_path / "run").exists()


def test_a_resumed_epoch_goes_on_with_the_batches_that_are_left(data, tmp_path, monkeypatch):
    seen = []
    step = MatchingModule.training_step

    def watched(self, batch, index):
        seen.append(
            (self.global_step, batch.clean[0, 0, 0].item(), tuple(batch.mask.sum(1).tolist()))
        )
        return step(self, batch, index)

    monkeypatch.setattr(MatchingModule, "training_step", watched)
    sizes = {**SIZES, "batch_size": 2}
    train(data, tmp_path / "whole", max_steps=14, **sizes)
    whole, seen[:] = list(seen), []
    train(data, tmp_path / "parts", max_steps=3, **sizes)
    train(data, tmp_path / "parts", max_steps=14, resume=True, **sizes)
    assert [s for s, _, _ in seen] == list(range(14))
    assert [m for _, _, m in seen] == [m for _, _, m in whole]
    assert len({x for _, x, _ in seen}) > 10


def test_the_loss_falls(data, tmp_path):
    train(data, tmp_path / "run", max_steps=160, learning_rate=5e-3, **SIZES)
    rows = (tmp_path / "run" / "metrics_0" / "metrics.csv").read_text().splitlines()
    column = rows[0].split(",").index("loss")
    losses = [float(r.split(",")[column]) for r in rows[1:] if r.split(",")[column]]
    assert sum(losses[-3:]) < 0.8 * sum(losses[:3])


def test_the_split_depends_on_the_molecules_alone(data, ensembles, tmp_path):
    folder = tmp_path / "chunks"
    folder.mkdir()
    chosen = [ensemble_of(mol) for mol in ensembles[:12]]
    save_ensembles(folder / "chunk_00000.npz", chosen[6:])
    save_ensembles(folder / "chunk_00001.npz", chosen[:6])
    (_, one), (_, other) = read_training_data(data), read_training_data(folder)
    assert [e.smiles for e in one] == [e.smiles for e in other]


def test_flexible_molecules_are_visited_more_often_and_batches_are_centred(ensembles):
    chosen = [ensemble_of(mol) for mol in ensembles[:12]]
    dataset = EnsembleDataset(chosen)
    for i, ensemble in enumerate(chosen):
        visits = dataset.items.count(i)
        assert (visits - 1) ** 2 < len(ensemble.positions) <= visits**2
    batch = collate_training([dataset[0], dataset[len(dataset) - 1]])
    assert batch.clean.sum(1).abs().max() < 1e-4
    assert batch.clean[~batch.mask].abs().sum() == 0
    assert batch.to(torch.device("cpu")).condition.z.equal(batch.condition.z)


def test_the_molecules_are_a_dataset_of_torch_geometric(ensembles):
    """Its loader batches them, its transforms turn and mark them, and ours collates the result."""
    from torch_geometric.loader import DataLoader
    from torch_geometric.transforms import Center, Compose, Distance, RandomRotate

    chosen = [ensemble_of(mol) for mol in ensembles[:6]]
    plain = EnsembleDataset(chosen)
    turned = EnsembleDataset(chosen, transform=Compose([Center(), RandomRotate(180), Distance()]))
    batch = next(iter(DataLoader(turned, batch_size=len(turned))))
    assert batch.num_graphs == len(turned) == len(plain.items)
    assert batch.pos.shape == (sum(plain.sizes), 3) and batch.z.shape == (sum(plain.sizes),)
    start, end = batch.edge_index
    bond = (batch.pos[start] - batch.pos[end]).norm(dim=-1)
    assert 0.8 < bond.min() and bond.max() < 2.0
    assert batch.edge_attr[:, 0].max() == 1  # Distance scales by the longest of each molecule
    assert "edge_attr" not in turned.molecules[0] and "pos" not in turned.molecules[0]
    half = plain[: len(plain) // 2]
    assert half.sizes == plain.sizes[: len(half)]
    made = collate_training([turned[0], turned[1]])
    assert made.clean.sum(1).abs().max() < 1e-4


def test_positions_of_another_molecule_are_refused(ensembles):
    ensemble = ensemble_of(ensembles[0])
    ensemble.smiles = "CCO"
    with pytest.raises(ValueError, match="CCO has 9 atoms"):
        EnsembleDataset([ensemble])


def test_an_sdf_of_ones_own_is_training_data_too(qm9_size_file):
    training, validation = read_training_data(qm9_size_file)
    assert (len(training), len(validation)) == (48, 5)
    assert sum(len(e.positions) for e in training + validation) == 330


def test_missing_data_names_the_command_that_makes_it(tmp_path):
    with pytest.raises(FileNotFoundError, match="geodiff prepare conformers"):
        read_training_data(tmp_path / "nothing.npz")


def test_the_local_term_sees_torn_bonds_and_no_motion(embed):
    """It is 0 at the clean conformer, wherever it lies, and grows as one bond is drawn out."""
    mol = embed("CCO")
    condition = collate([featurise(mol)])
    clean = torch.from_numpy(mol.GetConformer().GetPositions()).float()[None]
    clean = clean - clean.mean(1, keepdim=True)

    class Says(torch.nn.Module):
        def forward(self, x, s, condition, mask):
            return self.said

    field = NetworkField(Says(), corruption(), reading="clean")
    batch, s = TrainingBatch(clean, condition, condition.mask), torch.tensor([0.1])

    def local(change):
        # as turned by the coupling: the target's own frame
        made = field.corruption.corrupt(
            clean, s, generator=seeded(), mask=condition.mask, condition=condition
        )
        field.network.said = change(made.clean)
        return Objective()(field, batch, s, seeded())

    def seeded():
        return torch.Generator().manual_seed(0)

    assert local(lambda x: x)["local"] == 0
    assert local(lambda x: x + 5.0)["local"] < 1e-6
    torn = [
        float(local(lambda x, by=by: x + by * torch.eye(9)[:, :1])["local"]) for by in (0.1, 0.3)
    ]
    assert 0 < torn[0] < torn[1]
    assert set(local(lambda x: x)) == {"loss", "match", "local"}
    assert set(Objective(local=0.0)(field, batch, s, seeded())) == {"loss"}
