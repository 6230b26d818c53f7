"""How often does our simulator agree with ACRONYM's labels, which FleX gave?

ACRONYM's files are read where you have them (CC BY-NC 4.0; none of them is in this repository): a
folder of its .h5 files with `meshes/` beside them, or of .npz files with vertices, faces,
quat_wxyz, trans, success and mass. The objects are cut into convex parts by CoACD. Rows: all
grasps, those of all but knives and scissors, each category, and each object with --each; TPR is the
share of FleX's successes that hold here, TNR the share of its failures that do not.

    python examples/benchmarks/mjb_agreement.py FOLDER [--meshes FOLDER] [--names FILE] [--objects
    20] [--grasps 30]
"""

import argparse
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from itertools import zip_longest
from pathlib import Path

import numpy as np

from geodiff.domains.bodies.io import GRASP_SUFFIXES, ObjectWarning
from geodiff.grasps import label, read_grasps, with_parts

BLADES = {"Knife", "Scissors"}  # edges of 1 to 2 mm, a few grams: many slip here that FleX holds
# 480 grasps of 16 objects that are no blades: 0.854. One standard error is 0.016, and objects
# differ more.
EXPECTED = "0.82-0.88"


def chosen(folder: Path, names: Path | None, count: int) -> list[Path]:
    """Files to judge: one size of each mesh, the categories in turn."""
    files = sorted(f for f in folder.iterdir() if f.suffix.lower() in GRASP_SUFFIXES)
    if names is not None:
        wanted = set(names.read_text().split())
        files = [f for f in files if f.stem in wanted]
    meshes = (
        {"_".join(f.stem.split("_")[:2]): f for f in files}
        if names is None
        else {f.stem: f for f in files}
    )
    categories: dict[str, list[Path]] = {}
    for mesh, file in meshes.items():
        categories.setdefault(mesh.split("_")[0], []).append(file)
    turns = zip_longest(*categories.values())
    return [file for turn in turns for file in turn if file is not None][:count]


def judge(task: tuple[Path, Path, int]) -> tuple[str, np.ndarray, np.ndarray, int, float]:
    """Labels of FleX and of MuJoCo for some grasps of one file, the number of parts, and CPU
    seconds.
    """
    path, meshes, count = task
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ObjectWarning)
        grasps = read_grasps(path, meshes=meshes)
    if grasps.object is None or grasps.success is None:
        raise SystemExit(
            f"{path} has no {'mesh' if grasps.object is None else 'labels'}; see --meshes"
        )
    item = with_parts(grasps.object)
    some = grasps[np.random.default_rng(0).permutation(len(grasps))[:count]]
    start = time.process_time()
    ours = label(type(some)(some.poses, item)).success
    return path.stem, some.success, ours, len(item.parts), time.process_time() - start


def row(title: str, flex: np.ndarray, ours: np.ndarray) -> str:
    def share(of: np.ndarray, good: bool) -> float:
        return float((of == good).mean()) if len(of) else float("nan")

    tpr, tnr = share(ours[flex], True), share(ours[~flex], False)
    return (
        f"{title:24s} {len(flex):5d} {flex.mean():7.3f} {ours.mean():7.3f} "
        f"{(flex == ours).mean():7.3f} {(tpr + tnr) / 2:8.3f} {tpr:7.3f} {tnr:7.3f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--meshes",
        type=Path,
        help="folder of ACRONYM's object/file, for .h5 files (default: FOLDER)",
    )
    parser.add_argument(
        "--names", type=Path, help="a text file of the names to judge (default: all)"
    )
    parser.add_argument("--objects", type=int, default=20)
    parser.add_argument("--grasps", type=int, default=30, help="of each object")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--each", action="store_true", help="also one row for each object")
    parser.add_argument(
        "--fast", action="store_true", help="3 grasps of 2 objects: shows that it runs"
    )
    known = parser.parse_args()
    if known.fast:
        known.objects, known.grasps = 2, 3
    files = chosen(known.folder, known.names, known.objects)
    if not files:
        raise SystemExit(f"{known.folder} holds no grasps ({', '.join(GRASP_SUFFIXES)}) to judge")
    tasks = [(file, known.meshes or known.folder, known.grasps) for file in files]
    with ProcessPoolExecutor(known.workers) as pool:
        results = list(pool.map(judge, tasks))
    print(
        f"{'':24s} {'n':>5s} {'FleX':>7s} {'ours':>7s} {'agree':>7s} {'balanced':>8s} {'TPR':>7s} "
        f"{'TNR':>7s}"
    )
    flex, ours = (np.concatenate([result[k] for result in results]) for k in (1, 2))
    print(row("all", flex, ours))
    thick = np.concatenate([np.full(len(r[1]), r[0].split("_")[0] not in BLADES) for r in results])
    print(row("all but blades", flex[thick], ours[thick]))
    for category in sorted({result[0].split("_")[0] for result in results}):
        some = [result for result in results if result[0].split("_")[0] == category]
        title = f"{category} ({len(some)} object{'s' * (len(some) > 1)})"
        print(
            row(title, np.concatenate([r[1] for r in some]), np.concatenate([r[2] for r in some]))
        )
    for name, one, other, parts, _ in results if known.each else ():
        print(row(f"{name[:14]} {parts:3d} parts", one, other))
    seconds = sum(result[4] for result in results)
    print(
        f"agreement {(flex == ours)[thick].mean():.3f} without blades   (expected {EXPECTED}); "
        f"{1000 * seconds / len(flex):.0f} CPU-ms a grasp"
    )


if __name__ == "__main__":
    main()
