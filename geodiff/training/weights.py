"""Trained models on disk: weights as safetensors beside a JSON that says what they are; never a
pickle.
"""

import hashlib
import json
from pathlib import Path

import torch
from torch import Tensor, nn

from geodiff.files import replacing
from geodiff.task import find, tasks

FORMAT = 1


def save(
    path: Path,
    module: nn.Module,
    task: str,
    config: dict,
    card: dict,
    *,
    dtype: torch.dtype | None = None,
) -> Path:
    """Write `path`.safetensors and `path`.json, weights first, each whole or not at all; returns
    the JSON's path.

    Args:
        path: of both, without the endings.
        module: whose weights are written.
        task: its name.
        config: what `build` of the task needs to rebuild the field.
        card: command, data, seed, seconds, metrics.
        dtype: the precision on disk of real-valued weights; None keeps theirs. `load` computes in
            float32 again.
    """
    from safetensors.torch import save as packed

    # Not `save_file`: it makes files that only their owner may read.
    stem = _stem(path)
    data = packed({name: _stored(t, dtype) for name, t in module.state_dict().items()})
    with replacing(stem.with_name(stem.name + ".safetensors")) as part:
        part.write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    described = {"format": FORMAT, "task": task, "sha256": digest, "config": config, "card": card}
    document = stem.with_name(stem.name + ".json")
    with replacing(document) as part:
        part.write_text(json.dumps(described, indent=1) + "\n")
    return document


def load(path_or_name: str | Path, task: str | None = None) -> nn.Module:
    """The trained field at `path_or_name`: a .json or .safetensors path, their common stem, or a
    shipped name.

    Shipped names are the files of `data/weights`, for example "conformers-qm9". The returned module
    is in eval mode on the CPU and carries `task`, and `card` and `config`, dicts from the JSON.

    Args:
        path_or_name: of a model.
        task: what the model must be for; None takes any.

    Raises: FileNotFoundError naming what was looked for; ValueError for a damaged, foreign or newer
        file, and for a model of another task.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    document = _find(path_or_name)
    described = _described(document)
    if task is not None and described["task"] != task:
        raise ValueError(
            f"model: expected one for {task}, got {document.stem!r}, which is for "
            f"{described['task']}; shipped are {', '.join(_shipped())}"
        )
    weights = document.with_suffix(".safetensors")
    if not weights.exists():
        raise FileNotFoundError(f"weights: {weights} is missing beside {document.name}")
    if hashlib.sha256(weights.read_bytes()).hexdigest() != described["sha256"]:
        raise ValueError(
            f"weights: {weights} is damaged (its sha256 differs from the one in {document.name}); "
            "copy the file anew"
        )
    build = find(described["task"]).function("model", "build")
    try:
        field = build(described["config"])
    except (ArithmeticError, AttributeError, LookupError, TypeError) as error:
        raise ValueError(
            f"weights: config in {document} describes no {described['task']} model "
            f"({type(error).__name__}: {error}); copy the file anew"
        ) from error
    try:
        field.load_state_dict(load_file(weights))
    except (SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"weights: {weights} does not fit its config ({reason[:200]}); copy both files anew"
        ) from error
    field.card, field.config = described.get("card", {}), described["config"]
    field.task = described["task"]
    return field.eval()


def _described(document: Path) -> dict:
    """What a JSON beside weights says; ValueError where it is not one that this geodiff reads."""
    try:
        described = json.loads(document.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(
            f"weights: {document} is not JSON ({error}); copy the file anew"
        ) from error
    if (
        not isinstance(described, dict)
        or not {"format", "task", "sha256", "config"} <= described.keys()
    ):
        raise ValueError(
            f"weights: {document} does not describe a geodiff model (format, task, sha256, config)"
        )
    if not isinstance(described["format"], int) or not isinstance(described["config"], dict):
        raise ValueError(
            f"weights: {document} does not describe a geodiff model (format a whole number, "
            "config a table); copy the file anew"
        )
    if described["format"] > FORMAT:
        raise ValueError(
            f"weights: {document} has format {described['format']}, this geodiff reads up to "
            f"{FORMAT}; update geodiff"
        )
    if described["task"] not in list(known := tasks()):
        raise ValueError(
            f"weights: task {described['task']!r} in {document} is unknown; known are {list(known)}"
        )
    return described


def _stored(tensor: Tensor, dtype: torch.dtype | None) -> Tensor:
    tensor = tensor.detach().cpu().contiguous()
    return tensor.to(dtype) if dtype is not None and tensor.is_floating_point() else tensor


def _stem(path: str | Path) -> Path:
    """`path` without .json or .safetensors; other dots belong to the name."""
    path = Path(path)
    return path.with_suffix("") if path.suffix in (".json", ".safetensors") else path


def _shipped() -> list[str]:
    from geodiff.paths import data_root

    return sorted(p.stem for p in (data_root() / "weights").glob("*.json"))


def _find(path_or_name: str | Path) -> Path:
    from geodiff.paths import data_root

    stem = _stem(path_or_name)
    names = (
        ()
        if not stem.name
        else (stem.with_name(stem.name + ".json"), data_root() / "weights" / f"{path_or_name}.json")
    )
    for candidate in names:
        if candidate.is_file():
            return candidate
    shipped = _shipped()
    raise FileNotFoundError(
        f"model: no weights at {str(path_or_name)!r}; give a path to a .json or .safetensors "
        f"file, or one of the shipped names: {', '.join(shipped) or '(none)'}"
    )
