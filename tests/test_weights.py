"""Models on disk: what is written comes back, and what is damaged is refused with the cure."""

import json

import pytest
import torch

from geodiff.training import weights

from .conformers.flow import SMALL, small_field


@pytest.fixture
def saved(tmp_path):
    from geodiff.conformers.model import new_config

    field = small_field()
    document = weights.save(
        tmp_path / "model", field, "conformers", new_config(SMALL), {"steps": 3}
    )
    return field, document


def test_a_saved_model_comes_back_by_any_of_its_names(saved):
    field, document = saved
    for name in (document, document.with_suffix(".safetensors"), document.with_suffix("")):
        loaded = weights.load(name)
        for (key, a), (_, b) in zip(
            field.state_dict().items(), loaded.state_dict().items(), strict=True
        ):
            assert torch.equal(a, b), key
    assert loaded.card == {"steps": 3}
    assert sorted(p.name for p in document.parent.iterdir()) == ["model.json", "model.safetensors"]


def test_a_dot_in_a_name_belongs_to_it(saved, tmp_path):
    field, document = saved
    config = json.loads(document.read_text())["config"]
    made = weights.save(tmp_path / "run" / "model.v2", field, "conformers", config, {})
    assert sorted(p.name for p in made.parent.iterdir()) == [
        "model.v2.json",
        "model.v2.safetensors",
    ]
    for name in (made, made.with_suffix(".safetensors"), made.with_suffix("")):
        weights.load(name)


def test_a_model_of_another_task_is_refused_where_one_is_asked_for(saved):
    _, document = saved
    weights.load(document, "conformers")
    with pytest.raises(
        ValueError, match="expected one for proteins, got 'model', which is for conformers"
    ):
        weights.load(document, "proteins")


def test_whoever_may_read_the_json_may_read_the_weights(saved):
    _, document = saved
    assert document.with_suffix(".safetensors").stat().st_mode == document.stat().st_mode


def test_weights_may_lie_on_disk_in_half_precision_and_compute_in_single(saved, tmp_path):
    field, document = saved
    half = weights.save(
        tmp_path / "half",
        field,
        "conformers",
        json.loads(document.read_text())["config"],
        {},
        dtype=torch.float16,
    )
    loaded = weights.load(half)
    assert all(p.dtype == torch.float32 for p in loaded.parameters())
    assert all(
        (a - b).abs().max() <= 5e-4 * (1 + a.abs().max())
        for a, b in zip(field.parameters(), loaded.parameters(), strict=True)
    )
    assert (
        half.with_suffix(".safetensors").stat().st_size
        < 0.6 * document.with_suffix(".safetensors").stat().st_size
    )


def test_one_flipped_byte_is_noticed(saved):
    _, document = saved
    path = document.with_suffix(".safetensors")
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match="damaged"):
        weights.load(document)


def test_missing_weights_name_what_was_looked_for(saved, tmp_path):
    _, document = saved
    document.with_suffix(".safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="model.safetensors is missing"):
        weights.load(document)
    with pytest.raises(FileNotFoundError, match="no weights at 'nowhere'.*shipped names"):
        weights.load("nowhere")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("format", 99, "update geodiff"),
        ("task", "soup", "known are"),
        ("config", None, "does not describe"),
        ("format", "1", "does not describe"),
        ("task", [], "known are"),
        ("config", "x", "does not describe"),
    ],
)
def test_foreign_and_newer_files_are_refused(saved, key, value, message):
    _, document = saved
    described = json.loads(document.read_text())
    if value is None:
        del described[key]
    else:
        described[key] = value
    document.write_text(json.dumps(described))
    with pytest.raises(ValueError, match=message):
        weights.load(document)


@pytest.mark.parametrize("network", ["x", {"wdth": 3}, {"heads": 0}, None])
def test_a_config_that_describes_no_network_is_refused(saved, network):
    _, document = saved
    described = json.loads(document.read_text())
    described["config"]["network"] = network
    if network is None:
        del described["config"]["network"]
    document.write_text(json.dumps(described))
    with pytest.raises(ValueError, match="config in .*model.json describes no conformers model"):
        weights.load(document)


def test_no_name_is_no_model():
    with pytest.raises(FileNotFoundError, match="no weights at ''"):
        weights.load("")


def test_a_json_that_is_cut_off_is_refused(saved):
    _, document = saved
    document.write_text(document.read_text()[:50])
    with pytest.raises(ValueError, match="is not JSON"):
        weights.load(document)


def test_weights_of_other_features_are_refused(saved):
    _, document = saved
    described = json.loads(document.read_text())
    described["config"]["atom_features"] += 1
    document.write_text(json.dumps(described))
    with pytest.raises(ValueError, match="atom_features"):
        weights.load(document)
