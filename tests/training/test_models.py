"""A model by field, path or name, on the device asked for."""

import pytest
import torch

from geodiff import cli, grasps, images
from geodiff.process.field import Field
from geodiff.training import weights
from geodiff.training.models import device_of, precise, trained
from tests.grasps import small
from tests.images.flow import small_config, small_field


def test_auto_is_a_gpu_where_there_is_one_and_else_the_cpu():
    assert device_of() == device_of("auto")
    assert device_of().type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert device_of("cpu") == device_of(torch.device("cpu")) == torch.device("cpu")


@pytest.mark.parametrize("wanted", ["cuda:97", "meta", "xpu", "nowhere", "cpu:x", "", 1.5])
def test_a_device_that_is_not_here_is_refused_naming_those_that_are(wanted):
    with pytest.raises(ValueError, match=r"device: .* is not on this machine; .* auto, cpu"):
        device_of(wanted)


def test_a_second_gpu_is_found_by_its_number(monkeypatch):
    """As if the machine had two."""
    monkeypatch.setattr(
        torch.accelerator, "current_accelerator", lambda check_available: torch.device("cuda")
    )
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 2)
    assert device_of() == torch.device("cuda:0")
    assert device_of("cuda:1") == torch.device("cuda:1")
    assert device_of("cuda") == torch.device("cuda")
    with pytest.raises(ValueError, match="cpu, cuda:0, cuda:1"):
        device_of("cuda:2")


def test_a_model_is_a_field_a_path_or_a_name(tmp_path):
    field = small_field()
    document = weights.save(tmp_path / "model", field, "images", small_config(), {})
    assert trained(field, "images", "nothing") is field
    assert trained(field, "images", "nothing", device="cpu") is field  # it is there already
    assert isinstance(trained(document, "images", "nothing"), Field)
    assert isinstance(trained(None, "images", str(document)), Field)
    with pytest.raises(
        TypeError, match="model: expected a Field, a path or a shipped name, got int"
    ):
        trained(3, "images", "nothing")


def test_a_model_of_another_task_is_refused_as_path_and_as_field(tmp_path):
    document = weights.save(tmp_path / "model", small_field(), "images", small_config(), {})
    with pytest.raises(
        ValueError, match="expected one for grasps, got 'model', which is for images"
    ):
        trained(document, "grasps", "nothing")
    with pytest.raises(ValueError, match="expected one for grasps, got a field for images"):
        grasps.sample(small.points(), 2, model=weights.load(document))


def test_a_field_is_computed_in_double_precision_on_the_cpu_and_left_as_it_was():
    field = small_field()
    assert next(precise(field).parameters()).dtype == torch.float64
    assert next(field.parameters()).dtype == torch.float32


def test_functions_and_commands_take_a_device(tmp_path, capsys):
    field = small_field(classes=3)
    here = images.sample(0, 2, model=field, steps=2, device="cpu")
    assert torch.equal(here, images.sample(0, 2, model=field, steps=2))
    assert (
        next(grasps.CostField.load(small.field(), device="cpu").parameters()).device.type == "cpu"
    )
    with pytest.raises(ValueError, match="device"):
        grasps.CostField.load(small.field(), device="cuda:97")
    out = str(tmp_path / "out.png")
    for words in ("sample images", "evaluate grasps", "demo"):
        more = [] if words.startswith("evaluate") else ["-o", out]
        assert cli.run([*words.split(), *more, "--device", "cuda:97"]) == cli.BAD
        assert "device: 'cuda:97' is not on this machine" in capsys.readouterr().err
