"""What this installation has and lacks, in words."""

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys

from geodiff import __version__, paths
from geodiff.task import tasks

DISTRIBUTION = "geodiff-manifolds"
CORE = (
    "torch",
    "torch-geometric",
    "e3nn",
    "rdkit",
    "pytorch-lightning",
    "jsonargparse",
    "biopython",
    "gemmi",
    "numpy",
    "scipy",
    "safetensors",
    "rich",
)
EXTRAS = {
    "viz": ("matplotlib", "pillow", "pydssp"),
    "geomstats": ("geomstats",),
    "energy": ("tblite", "ase"),
    "eval": ("posebusters", "tmtools", "pydssp", "scikit-learn"),
    "grasp": ("trimesh", "h5py", "mujoco", "coacd"),
    "compare": ("diffusers", "roma", "kornia", "flow-matching"),
}


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _strangers() -> list[tuple[str, str]]:
    """Folders of ours that another distribution writes into, and its name."""
    owners = importlib.metadata.packages_distributions()
    return sorted(
        {
            (folder, name)
            for folder in ("geodiff", "manifolds")
            for name in owners.get(folder, ())
            if name != DISTRIBUTION
        }
    )


def examine() -> tuple[list[str], bool]:
    """Lines that describe the installation, and whether all that geodiff cannot do without is
    there.
    """
    healthy = True
    lines = [
        f"geodiff {__version__}, Python {platform.python_version()}, {platform.platform()}",
        f"  in {paths.__file__.rsplit(os.sep, 1)[0]}, run by {sys.executable}",
        "",
        "needed",
    ]
    for distribution in CORE:
        version = _version(distribution)
        healthy &= version is not None
        lines.append(f"  {distribution:18} {version or 'MISSING: pip install ' + distribution}")
    found = importlib.util.find_spec("manifolds")
    healthy &= found is not None
    lines.append(
        f"  {'manifolds':18} "
        + ("ours" if found else f"MISSING: pip install --force-reinstall --no-deps {DISTRIBUTION}")
    )
    strangers = _strangers()
    healthy &= not strangers
    lines += [
        f"  {name:18} MIXED with {folder}/ of {DISTRIBUTION}: pip uninstall {name}, then pip "
        f"install --force-reinstall --no-deps {DISTRIBUTION}"
        for folder, name in strangers
    ]

    lines += ["", "devices"]
    if importlib.util.find_spec("torch") is not None:
        import torch

        lines.append(f"  cpu: {os.cpu_count()} cores, torch uses {torch.get_num_threads()} threads")
        lines += [
            f"  cuda:{i}: {torch.cuda.get_device_name(i)}" for i in range(torch.cuda.device_count())
        ]
        if torch.backends.mps.is_available():
            lines.append("  mps: Apple GPU")
        if not torch.cuda.is_available():
            lines.append(
                f"  no CUDA device (torch {torch.__version__}); everything runs on the CPU"
            )

    lines += ["", "files"]
    try:
        root = paths.data_root()
        lines.append(f"  data     {root}")
        models = sorted(p.stem for p in (root / "weights").glob("*.json"))
        weights = ", ".join(models) if models else f"MISSING: none in {root / 'weights'}"
        lines.append(f"  weights  {weights}")
        healthy &= bool(models)
    except FileNotFoundError as error:
        healthy = False
        lines.append(f"  data     MISSING: {error}")

    lines += ["", "tasks"]
    for task in tasks().values():
        fault = task.fault()
        healthy &= fault is None or not task.package.startswith("geodiff.")
        lines.append(f"  {task.name:18} {fault or ', '.join(task.commands)}")

    lines += ["", "optional"]
    for extra, distributions in EXTRAS.items():
        missing = [d for d in distributions if _version(d) is None]
        there = ", ".join(f"{d} {_version(d)}" for d in distributions if d not in missing)
        cure = (
            f"without {', '.join(missing)}: pip install '{DISTRIBUTION}[{extra}]'"
            if missing
            else ""
        )
        lines.append(f"  {extra:18} {'; '.join(filter(None, (there, cure)))}")
    xtb = shutil.which("xtb")
    lines.append(
        f"  {'xtb program':18} "
        + (xtb or "not found; only `geodiff prepare conformers` needs it: apt-get install xtb")
    )
    lines += [
        "",
        "all that is needed is here" if healthy else "something needed is MISSING, see above",
    ]
    return lines, healthy
