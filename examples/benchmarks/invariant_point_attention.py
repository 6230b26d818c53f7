"""How much faster is a training step on frames when points are folded into queries and keys?

Ours is the frame mode of the transformer core. The peer is the trunk of FrameDiff at its published
size, in which every pair of residues has an edge vector and every pair of points its displacement.
Both read the same 256 residues, edges and frames, run in one process in turn (A, B, A, B, ...) and
do the same work: forward, backward, Adam. Medians of CPU time and of wall time are reported, for
our stack as one would use it and for one of the peer's number of parameters, and for the peer with
scalar channels of 256 and of 16 a head, for both are in use.

The peer moves tensors above 32 MB, which glibc by default maps afresh for each operation. All
numbers come from a child process whose allocator is told to keep its memory, which favours the
peer.

    python examples/benchmarks/invariant_point_attention.py [--fast] [--threads 1]
"""

import argparse
import json
import math
import os
import subprocess
import sys

import torch
from _timing import in_turn
from torch import Tensor, nn

from geodiff.networks.frames import FrameTransformer
from manifolds import SO3

# Peer over ours in CPU time on a busy Zen 4 core: 20.6 at 256 residues and, with --fast, 13.0 at
# 128.
EXPECTED = {256: 8.0, 128: 6.0}
TUNED = {
    "MALLOC_MMAP_THRESHOLD_": str(2**32),
    "MALLOC_TRIM_THRESHOLD_": str(2**34),
    "MALLOC_TOP_PAD_": str(2**28),
}
NODE, EDGE, HEADS, QUERY_POINTS, VALUE_POINTS = 256, 128, 8, 8, 12
UNIT = 10.0  # angstrom per unit of the networks


class ExplicitPointAttention(nn.Module):
    """Invariant point attention with the displacement of every pair of points in memory.

    Source: Jumper et al. 2021, supplement, algorithm 22. Edges are narrowed to a quarter before
    they are averaged, as in FrameDiff; value points are averaged by a matrix product, which is
    faster than its sum over a product.
    """

    def __init__(self, hidden: int):
        super().__init__()
        self.hidden = hidden
        self.scalars = nn.Linear(NODE, 3 * HEADS * hidden)
        self.points = nn.Linear(NODE, HEADS * (2 * QUERY_POINTS + VALUE_POINTS) * 3)
        self.bias, self.narrow = nn.Linear(EDGE, HEADS), nn.Linear(EDGE, EDGE // 4)
        self.point_weight = nn.Parameter(torch.full((HEADS,), math.log(math.e - 1)))
        self.out = nn.Linear(HEADS * (hidden + EDGE // 4 + 4 * VALUE_POINTS), NODE)

    def forward(
        self, node: Tensor, edge: Tensor, rotations: Tensor, translations: Tensor
    ) -> Tensor:
        batch, n, _ = node.shape
        q, k, v = self.scalars(node).view(batch, n, HEADS, 3, self.hidden).permute(3, 0, 2, 1, 4)
        world = (
            self.points(node).view(batch, n, -1, 3) @ rotations.transpose(-1, -2)
            + translations[:, :, None]
        )
        q_points, k_points, v_points = world.view(batch, n, HEADS, -1, 3).split(
            [QUERY_POINTS, QUERY_POINTS, VALUE_POINTS], 3
        )
        displacement = q_points[:, :, None] - k_points[:, None]  # (batch, n, n, heads, points, 3)
        squared = displacement.square().sum((-2, -1)).permute(0, 3, 1, 2)
        weight = nn.functional.softplus(self.point_weight)[:, None, None] * math.sqrt(
            2 / (9 * QUERY_POINTS)
        )
        logits = q @ k.transpose(-1, -2) / math.sqrt(self.hidden) + self.bias(edge).permute(
            0, 3, 1, 2
        )
        a = torch.softmax(math.sqrt(1 / 3) * (logits - weight / 2 * squared), -1)
        scalars = (a @ v).transpose(1, 2).flatten(2)
        edges = (a.permute(0, 2, 1, 3) @ self.narrow(edge)).flatten(2)
        points = (a @ v_points.transpose(1, 2).flatten(3)).transpose(1, 2).reshape(batch, n, -1, 3)
        points = (points - translations[:, :, None]) @ rotations
        lengths = (points.square().sum(-1) + 1e-8).sqrt()
        return self.out(torch.cat([scalars, edges, points.flatten(2), lengths], -1))


class EdgeTransition(nn.Module):
    """Updates the vector of every pair from itself and its two residues."""

    def __init__(self):
        super().__init__()
        wide = 2 * EDGE + EDGE
        self.narrow = nn.Linear(NODE, EDGE)
        self.first, self.second, self.last = (
            nn.Linear(wide, wide),
            nn.Linear(wide, wide),
            nn.Linear(wide, EDGE),
        )
        self.norm = nn.LayerNorm(EDGE)

    def forward(self, node: Tensor, edge: Tensor) -> Tensor:
        node, n = self.narrow(node), node.shape[1]
        rows, columns = (x.expand(-1, n, n, -1) for x in (node[:, :, None], node[:, None]))
        joined = torch.cat([edge, rows, columns], -1)
        hidden = torch.relu(self.second(torch.relu(self.first(joined))))
        return self.norm(self.last(hidden + joined))


class FrameDiffStack(nn.Module):
    """The trunk of FrameDiff: point attention, a transformer along the chain, a step of frames, an
    edge update.

    Source: Yim et al. 2023, appendix on the architecture, and their published configuration: 4
    blocks, node 256, edge 128, 8 heads, 8 query and 12 value points, `hidden` 256 channels a head.
    """

    def __init__(self, hidden: int = 256, blocks: int = 4, skip: int = 64):
        super().__init__()
        wide = NODE + skip
        self.blocks = nn.ModuleList(
            nn.ModuleDict(
                {
                    "attention": ExplicitPointAttention(hidden),
                    "norm": nn.LayerNorm(NODE),
                    "skip": nn.Linear(NODE, skip),
                    "chain": nn.Sequential(
                        *(
                            nn.TransformerEncoderLayer(wide, 4, wide, dropout=0.0, batch_first=True)
                            for _ in range(2)
                        )
                    ),
                    "back": nn.Linear(wide, NODE),
                    "transition": nn.Sequential(
                        nn.Linear(NODE, NODE),
                        nn.ReLU(),
                        nn.Linear(NODE, NODE),
                        nn.ReLU(),
                        nn.Linear(NODE, NODE),
                    ),
                    "transition_norm": nn.LayerNorm(NODE),
                    "step": nn.Linear(NODE, 6),
                }
                | ({"edge": EdgeTransition()} if i + 1 < blocks else {})
            )
            for i in range(blocks)
        )

    def forward(self, node: Tensor, edge: Tensor, rotations: Tensor, translations: Tensor):
        start, places = node, translations / UNIT
        for block in self.blocks:
            node = block["norm"](node + block["attention"](node, edge, rotations, places))
            node = node + block["back"](block["chain"](torch.cat([node, block["skip"](start)], -1)))
            node = block["transition_norm"](node + block["transition"](node))
            turn, shift = block["step"](node).split(3, -1)
            places = places + (rotations @ shift[..., None]).squeeze(-1)
            rotations = SO3().exp(rotations, turn)
            if "edge" in block:
                edge = block["edge"](node, edge)
        return node, rotations, UNIT * places


class Ours(nn.Module):
    """The frame mode of the core on the same inputs; the edge vectors stay as they are."""

    def __init__(self, layers: int = 6):
        super().__init__()
        self.core = FrameTransformer(
            NODE,
            layers,
            HEADS,
            pair_width=EDGE,
            query_points=QUERY_POINTS,
            value_points=VALUE_POINTS,
            length=UNIT,
        )

    def forward(self, node: Tensor, edge: Tensor, rotations: Tensor, translations: Tensor):
        mask = torch.ones(node.shape[:2], dtype=torch.bool)
        return self.core(node, edge, node.mean(1), mask, rotations, translations)


NETWORKS = {  # ours first
    "ours, 6 blocks": Ours,
    "ours, 10 blocks": lambda: Ours(10),
    "FrameDiff's size": FrameDiffStack,
    "the same, c_hidden 16": lambda: FrameDiffStack(16),
}


def inputs(n: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Nodes, edges and the frames of a compact cloud of `n` residues, one sample."""
    generator = torch.Generator().manual_seed(0)
    node, edge = (torch.randn(1, *size, generator=generator) for size in ((n, NODE), (n, n, EDGE)))
    rotations = SO3().random_point(1, n, generator=generator)
    return (
        node,
        edge,
        rotations,
        2.2 * n**0.38 / math.sqrt(3) * torch.randn(1, n, 3, generator=generator),
    )


def trainer(network: nn.Module, given: tuple):
    """A function that does one training step towards fixed frames and tokens."""
    optimiser = torch.optim.Adam(network.parameters(), 1e-4)
    targets = given[0], given[2].roll(1, 1), given[3].roll(1, 1)

    def step():
        optimiser.zero_grad(set_to_none=True)
        sum(
            (x - y).square().mean() for x, y in zip(network(*given), targets, strict=True)
        ).backward()
        optimiser.step()

    return step


def measure(n: int, repeats: int) -> dict:
    """Median CPU and wall seconds per training step of each network, taken in turn after one
    warm-up each.
    """
    given, networks = inputs(n), {name: build() for name, build in NETWORKS.items()}
    steps = {name: trainer(network, given) for name, network in networks.items()}
    times = in_turn(steps, repeats)
    return {
        name: {"parameters": sum(p.numel() for p in network.parameters()), **times[name]}
        for name, network in networks.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--fast", action="store_true", help="128 residues instead of 256, two timed steps"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    n, repeats = (128, 2) if arguments.fast else (256, 3)
    if arguments.child:
        print(json.dumps(measure(n, repeats)))
        return
    child = [sys.executable, __file__, "--child", "--threads", str(arguments.threads)]
    child += ["--fast"] if arguments.fast else []
    done = subprocess.run(
        child, env={**os.environ, **TUNED}, check=True, stdout=subprocess.PIPE, text=True
    )
    result = json.loads(done.stdout.splitlines()[-1])
    print(
        f"one training step, {n} residues, {arguments.threads} thread(s), allocator tuned for the "
        "peer"
    )
    for name, row in result.items():
        print(
            f"  {name:22s} {row['parameters'] / 1e6:5.1f} M {row['cpu']:8.3f} s CPU "
            f"{row['wall']:8.3f} s wall"
        )
    ours, equal, peer, lean = (row["cpu"] for row in result.values())
    print(f"FrameDiff's size over ours: {peer / ours:.1f}   (expected >= {EXPECTED[n]:.0f})")
    print(f"at equal parameters {peer / equal:.1f};  against c_hidden 16: {lean / ours:.1f}")


if __name__ == "__main__":
    main()
