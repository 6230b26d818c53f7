"""How long does one training step take beside a TorchMD equivariant transformer of equal size?

Both networks have about 6 million parameters, see the same 16 drug-sized molecules (40 to 48 atoms,
SMILES from the RDKit wheel, ETKDG coordinates), run in the same process in turn (A, B, A, B, ...),
and do the same work: build their graph or pair features from positions, forward, backward, Adam.
Medians of CPU time and of wall time are reported.

The peer moves tensors above 32 MB, which glibc by default maps afresh for each operation. The ratio
to quote therefore comes from a child process whose allocator is told to keep its memory, which
favours the peer; without --fast the default allocator is measured too.

    python examples/benchmarks/network_step.py [--fast] [--threads 1]
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from geodiff.networks import Transformer
from geodiff.networks.graph import radius_graph

sys.path.insert(0, str(Path(__file__).resolve().parent))
from _timing import in_turn  # noqa: E402
from _torchmd_et import EquivariantTransformer  # noqa: E402

# Peer over ours in CPU time, tuned allocator, one Zen 4 core: 9.8, 9.0 and 8.8 on a busy machine.
EXPECTED = 8.0
TUNED = {
    "MALLOC_MMAP_THRESHOLD_": str(2**32),
    "MALLOC_TRIM_THRESHOLD_": str(2**34),
    "MALLOC_TOP_PAD_": str(2**28),
}


class Ours(nn.Module):
    """The core as a conformer network: atoms, distances and bonds in, one vector per atom out."""

    def __init__(
        self,
        kinds: int = 100,
        width: int = 144,
        layers: int = 12,
        vector_width: int = 64,
        rbf: int = 32,
    ):
        super().__init__()
        geometry = "vectors" if vector_width else "none"
        self.atoms, self.bonds = nn.Embedding(kinds, width), nn.Embedding(5, rbf)
        self.level = nn.Sequential(nn.Linear(1, width), nn.SiLU(), nn.Linear(width, width))
        self.register_buffer("centres", torch.linspace(0, 10, rbf))
        self.core = Transformer(
            width, layers, pair_width=2 * rbf, geometry=geometry, vector_width=vector_width
        )
        self.head = nn.Linear(vector_width, 1, bias=False) if vector_width else nn.Linear(width, 3)

    def forward(
        self, kinds: Tensor, positions: Tensor, level: Tensor, mask: Tensor, bonds: Tensor
    ) -> Tensor:
        distance = (positions[:, :, None] - positions[:, None]).square().sum(-1).add(1e-12).sqrt()
        radial = torch.exp(
            -(((distance[..., None] - self.centres) * (len(self.centres) / 10)) ** 2)
        )
        pair = torch.cat((radial, self.bonds(bonds)), -1)
        tokens, vectors = self.core(
            self.atoms(kinds),
            pair,
            self.level(level[:, None]),
            mask,
            positions if self.core.geometry == "vectors" else None,
        )
        return (
            self.head(tokens)
            if vectors is None
            else self.head(vectors.transpose(-1, -2)).squeeze(-1)
        )


def molecules(count: int = 16, atoms: tuple[int, int] = (40, 48)):
    """Padded atomic numbers, coordinates, mask and bonds of `count` molecules of the RDKit
    wheel.
    """
    from rdkit import Chem, RDConfig, RDLogger
    from rdkit.Chem import AllChem

    RDLogger.DisableLog("rdApp.*")
    found = []
    for line in (Path(RDConfig.RDDataDir) / "NCI" / "first_5K.smi").read_text().splitlines():
        mol = Chem.MolFromSmiles(line.split()[0])
        if mol is None or "." in line.split()[0]:
            continue
        mol = Chem.AddHs(mol)
        if (
            atoms[0] <= mol.GetNumAtoms() <= atoms[1]
            and AllChem.EmbedMolecule(mol, randomSeed=1, maxAttempts=5) == 0
        ):
            found.append(mol)
        if len(found) == count:
            break
    nodes = max(mol.GetNumAtoms() for mol in found)
    kinds, mask = (
        torch.zeros(count, nodes, dtype=torch.long),
        torch.zeros(count, nodes, dtype=torch.bool),
    )
    positions, bonds = (
        torch.zeros(count, nodes, 3),
        torch.zeros(count, nodes, nodes, dtype=torch.long),
    )
    for i, mol in enumerate(found):
        n = mol.GetNumAtoms()
        kinds[i, :n] = torch.tensor([atom.GetAtomicNum() for atom in mol.GetAtoms()])
        mask[i, :n] = True
        positions[i, :n] = torch.tensor(mol.GetConformer().GetPositions(), dtype=torch.float32)
        for bond in mol.GetBonds():
            order = 4 if bond.GetIsAromatic() else int(bond.GetBondTypeAsDouble())
            a, b = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
            bonds[i, a, b] = bonds[i, b, a] = order
    return kinds, positions, mask, bonds


def trainer(network: nn.Module, inputs: tuple, mask: Tensor):
    """A function that does one training step towards a fixed random target."""
    optimiser = torch.optim.Adam(network.parameters(), 1e-4)
    target = (
        torch.randn(*mask.shape, 3, generator=torch.Generator().manual_seed(0)) * mask[..., None]
    )

    def step():
        optimiser.zero_grad(set_to_none=True)
        (network(*inputs) - target).square().mean().backward()
        optimiser.step()

    return step


def measure(repeats: int) -> dict:
    """Median CPU and wall seconds per training step of each network, taken in turn after one
    warm-up each.
    """
    kinds, positions, mask, bonds = molecules()
    level = torch.full((len(kinds),), 0.5)
    networks = {"ours": Ours(), "plain": Ours(vector_width=0), "peer": EquivariantTransformer()}
    shared = (kinds, positions, level, mask)
    steps = {
        name: trainer(network, shared if name == "peer" else (*shared, bonds), mask)
        for name, network in networks.items()
    }
    times = in_turn(steps, repeats)
    return {
        "atoms": int(mask.sum()),
        "molecules": len(mask),
        "pairs": radius_graph(positions, 10.0, mask=mask).shape[1],
        "threads": torch.get_num_threads(),
        "parameters": {
            name: sum(p.numel() for p in network.parameters()) for name, network in networks.items()
        },
        **{
            clock: {name: taken[clock] for name, taken in times.items()}
            for clock in ("cpu", "wall")
        },
    }


def report(title: str, result: dict) -> float:
    cpu, wall, size = result["cpu"], result["wall"], result["parameters"]
    ratio = cpu["peer"] / cpu["ours"]
    print(title)
    print(
        f"  {result['molecules']} molecules, {result['atoms']} atoms, "
        f"{result['pairs']} pairs within 10 angstrom, {result['threads']} thread(s)"
    )
    labels = {"ours": "ours, with vectors", "plain": "ours, without", "peer": "TorchMD-ET 20 x 160"}
    for name, label in labels.items():
        print(
            f"  {label:20s} {size[name] / 1e6:.2f} M   {cpu[name]:7.3f} s CPU {wall[name]:7.3f} s "
            "wall"
        )
    print(f"  peer / ours {ratio:.1f}    with vectors / without {cpu['ours'] / cpu['plain']:.2f}")
    return ratio


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fast", action="store_true", help="two timed steps, tuned allocator only")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    repeats = 2 if arguments.fast else 3
    if arguments.child:
        print(json.dumps(measure(repeats)))
        return
    if not arguments.fast:
        report("default allocator", measure(repeats))
    child = [sys.executable, __file__, "--child", "--threads", str(arguments.threads)]
    child += ["--fast"] if arguments.fast else []
    done = subprocess.run(
        child, env={**os.environ, **TUNED}, check=True, stdout=subprocess.PIPE, text=True
    )
    variables = " ".join(f"{name}={value}" for name, value in TUNED.items())
    ratio = report(f"tuned allocator ({variables})", json.loads(done.stdout.splitlines()[-1]))
    print(
        f"training step, TorchMD-ET over ours, tuned allocator: {ratio:.1f}   (expected >= "
        f"{EXPECTED:.0f})"
    )


if __name__ == "__main__":
    main()
