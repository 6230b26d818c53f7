"""Training end to end on the shipped chains: learning, resume, files, both processes, the command
line.
"""

import json

import numpy as np
import pytest

from geodiff import cli, proteins
from geodiff.domains.chains.chain import load_chains, save_chains
from geodiff.paths import data_path
from geodiff.training import weights

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:torch"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:pytorch_lightning"),
]
SIZES = dict(
    width=32,
    layers=1,
    batch_size=4,
    pair_budget=6_000,
    longest=40,
    progress_bar=False,
    accelerator="cpu",
)


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """Twenty short chains, in a file of their own."""
    chains = sorted(load_chains(data_path("proteins", "backbones_val.npz")), key=len)[:20]
    path = tmp_path_factory.mktemp("chains") / "chains.npz"
    save_chains(path, chains)
    return path


@pytest.mark.parametrize("process", ["flow", "diffusion"])
def test_training_writes_a_model_that_loads_samples_and_its_card(few, tmp_path, process):
    document = proteins.train(few, tmp_path / "run", process=process, max_steps=3, **SIZES)
    field = weights.load(document)
    assert (
        field.card["steps"] == 3
        and field.card["chains"] == 18
        and field.card["validation_chains"] == 2
    )
    assert field.card["process"] == process == field.config["process"]
    assert json.loads((tmp_path / "run" / "card.json").read_text()) == field.card
    chain = proteins.sample(10, model=document, steps=3)[0]
    assert len(chain) == 10 and np.isfinite(chain.coords).all()


def test_a_run_goes_on_where_it_stopped_and_is_never_overwritten(few, tmp_path):
    proteins.train(few, tmp_path / "run", max_steps=2, **SIZES)
    with pytest.raises(FileExistsError, match="resume"):
        proteins.train(few, tmp_path / "run", max_steps=4, **SIZES)
    document = proteins.train(few, tmp_path / "run", max_steps=4, resume=True, **SIZES)
    assert weights.load(document).card["steps"] == 4


def test_translations_are_learned_within_a_few_steps(few, tmp_path):
    proteins.train(few, tmp_path / "run", max_steps=160, **SIZES | {"learning_rate": 5e-3})
    rows = [
        row.split(",")
        for row in (tmp_path / "run" / "metrics_0" / "metrics.csv").read_text().splitlines()
    ]
    losses = [
        float(row[rows[0].index("translation")])
        for row in rows[1:]
        if row[rows[0].index("translation")]
    ]
    assert sum(losses[-3:]) / 3 < 0.7 * losses[0]  # 0.35 measured


def test_the_command_line_trains_samples_and_measures(few, tmp_path, capsys):
    sizes = "--width 32 --layers 1 --batch_size 4 --longest 40 --progress_bar false".split()
    sizes += ["--accelerator", "cpu"]
    run, made = str(tmp_path / "run"), str(tmp_path / "made")
    assert (
        cli.run(["train", "proteins", "--data", str(few), "--out", run, "--max_steps", "2", *sizes])
        == 0
    )
    model = capsys.readouterr().out.strip()
    assert (
        cli.run(
            [
                "sample",
                "proteins",
                "--length",
                "9",
                "12",
                "-n",
                "2",
                "--steps",
                "2",
                "--model",
                model,
                "-o",
                made,
            ]
        )
        == 0
    )
    assert "4 chains in" in capsys.readouterr().out
    assert {path.suffix for path in (tmp_path / "made").iterdir()} >= {".pdb", ".html"}
    assert cli.run(["evaluate", "proteins", made]) == 0
    assert "phi < 0" in capsys.readouterr().out
    assert cli.run(["sample", "proteins", "--length", "0", "-o", made]) == 2
    assert "at least 1, got 0" in capsys.readouterr().err
