"""Trained models on disk: weights as safetensors beside a JSON that says what they are; never a pickle."""

import hashlib
import importlib
import json
from pathlib import Path

import torch
from torch import Tensor, nn

from geodiff.files import replacing

FORMAT = 1
# Where each task rebuilds a field from its JSON: module and function, imported only when asked for.
BUILDERS = {
    "conformers": ("geodiff.conformers.model", "build"),
    "grasps": ("geodiff.grasps.model", "build"),
    "images": ("geodiff.images.model", "build"),
    "proteins": ("geodiff.proteins.model", "build"),
}


def save(path: Path, module: nn.Module, task: str, config: dict, card: dict, *,
         dtype: torch.dtype | None = None) -> Path:
    """Write `path`.safetensors and `path`.json, weights first, each whole or not at all; returns the JSON's path.

    config: what `BUILDERS[task]` needs to rebuild the field. card: command, data, seed, seconds, metrics.
    dtype: the precision on disk of real-valued weights; None keeps theirs. `load` computes in float32 again.
    """
    from safetensors.torch import save as packed

    # Not `save_file`: it makes files that only their owner may read.
    data = packed({name: _stored(t, dtype) for name, t in module.state_dict().items()})
    with replacing(Path(path).with_suffix(".safetensors")) as part:
        part.write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    described = {"format": FORMAT, "task": task, "sha256": digest, "config": config, "card": card}
    document = Path(path).with_suffix(".json")
    with replacing(document) as part:
        part.write_text(json.dumps(described, indent=1) + "\n")
    return document


def load(path_or_name: str | Path) -> nn.Module:
    """The trained field at `path_or_name`: a .json or .safetensors path, their common stem, or a shipped name.

    Shipped names are the files of `data/weights`, for example "conformers-qm9". The returned module is in eval
    mode on the CPU and carries `card` and `config`, dicts from the JSON.
    Raises FileNotFoundError naming what was looked for; ValueError for a damaged, foreign or newer file.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    document = _find(path_or_name)
    try:
        described = json.loads(document.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"weights: {document} is not JSON ({error}); copy the file anew") from error
    if not isinstance(described, dict) or not {"format", "task", "sha256", "config"} <= described.keys():
        raise ValueError(f"weights: {document} does not describe a geodiff model (format, task, sha256, config)")
    if not isinstance(described["format"], int) or not isinstance(described["config"], dict):
        raise ValueError(f"weights: {document} does not describe a geodiff model (format a whole number, config a "
                         "table); copy the file anew")
    if described["format"] > FORMAT:
        raise ValueError(f"weights: {document} has format {described['format']}, this geodiff reads up to {FORMAT}; "
                         "update geodiff")
    if described["task"] not in tuple(BUILDERS):
        raise ValueError(f"weights: task {described['task']!r} in {document} is unknown; known are {sorted(BUILDERS)}")
    weights = document.with_suffix(".safetensors")
    if not weights.exists():
        raise FileNotFoundError(f"weights: {weights} is missing beside {document.name}")
    if hashlib.sha256(weights.read_bytes()).hexdigest() != described["sha256"]:
        raise ValueError(f"weights: {weights} is damaged (its sha256 differs from the one in {document.name}); "
                         "copy the file anew")
    module_name, function = BUILDERS[described["task"]]
    build = getattr(importlib.import_module(module_name), function)
    try:
        field = build(described["config"])
    except (ArithmeticError, AttributeError, LookupError, TypeError) as error:
        raise ValueError(f"weights: config in {document} describes no {described['task']} model "
                         f"({type(error).__name__}: {error}); copy the file anew") from error
    try:
        field.load_state_dict(load_file(weights))
    except (SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"weights: {weights} does not fit its config ({reason[:200]}); "
                         "copy both files anew") from error
    field.card, field.config = described.get("card", {}), described["config"]
    return field.eval()


def _stored(tensor: Tensor, dtype: torch.dtype | None) -> Tensor:
    tensor = tensor.detach().cpu().contiguous()
    return tensor.to(dtype) if dtype is not None and tensor.is_floating_point() else tensor


def _find(path_or_name: str | Path) -> Path:
    from geodiff.paths import data_root

    folder = data_root() / "weights"
    path = Path(path_or_name)
    names = () if not path.name else (
        path.with_suffix(".json"), path.with_name(path.name + ".json"), folder / f"{path_or_name}.json")
    for candidate in names:
        if candidate.is_file():
            return candidate
    shipped = sorted(p.stem for p in folder.glob("*.json"))
    raise FileNotFoundError(f"model: no weights at {str(path_or_name)!r}; give a path to a .json or .safetensors file, "
                            f"or one of the shipped names: {', '.join(shipped) or '(none)'}")
