"""What the fast network costs beside a literal one of scDFM, and attention features at full size.

    python perf/flow.py [step] [sampling] [features] [cuda]     all unless named

Both networks have the same weights and get the same inputs; each is measured in a process of its own, so that
peak memory is its own. The literal one forms both attention maps in float32 and runs the gene encoder over
the whole vocabulary at every call.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from methods._flow.backbone import FlowShape, build_flow, count_parameters
from methods._flow.precision import autocast
from methods._flow.sampling import SamplingOptions, Solver, sample_expression
from tests.literal_scdfm import LiteralFlow

PAPER = FlowShape(6000, 512, 8, 4, graph=True, standardised=False, inverse_task=True, time_scale=1.0)
SMALL = FlowShape(1002, 64, 2, 1, graph=True, standardised=False, inverse_task=True)
H100_BF16_FLOPS = 989e12
THREADS = 2


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def velocity_of(kind: str, flow, device: torch.device):
    """Give velocity(x_t, control, t, genes, perturbation) of one kind of network."""
    if kind == "literal":
        weights = flow.state_dict(keep_vars=True)
        return LiteralFlow(weights, flow.shape.heads, flow.shape.layers, flow.shape.time_scale).velocity

    def fast(x_t, control, t, genes, perturbation):
        with autocast(device, "float32" if kind == "float32" else "auto"):
            encoded = flow.encode(genes, perturbation[:1])
            return flow(x_t, control.unsqueeze(-1), encoded, t)[0].float()

    return fast


def batch(cells: int, genes: int, device: torch.device) -> tuple:
    """Random inputs: every cell has the same perturbation."""
    random = torch.Generator().manual_seed(0)
    x_t, control = torch.randn(2, cells, genes, generator=random)
    tokens = torch.randperm(1000, generator=random)[:genes]
    times, perturbation = torch.rand(cells, generator=random), torch.tensor([[1, 2]]).expand(cells, 2)
    return tuple(part.to(device) for part in (x_t, control, times, tokens, perturbation))


def run_steps(kind: str, shape: FlowShape, cells: int, genes: int, repeats: int, device: str) -> dict:
    """Seconds of training steps (forward, loss, backward, Adam), and peak memory."""
    where = torch.device(device)
    flow = build_flow(shape, 0).to(where).train()
    optimiser = torch.optim.Adam(flow.parameters(), lr=1e-5)
    velocity, given = velocity_of(kind, flow, where), batch(cells, genes, where)
    seconds = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        optimiser.zero_grad(set_to_none=True)
        velocity(*given).square().mean().backward()
        optimiser.step()
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    memory = torch.cuda.max_memory_allocated() / 2**20 if device == "cuda" else peak_mb()
    return {"seconds": statistics.median(seconds[1:]), "mb": memory}


def run_sampling(kind: str, cells: int, perturbations: int) -> dict:
    """Seconds of sampling all cells of some perturbations, in midpoint steps."""
    genes, solver = 1000, Solver("midpoint", 2)
    flow = build_flow(SMALL, 0).eval()
    x0, control, _, tokens, perturbation = batch(cells, genes, torch.device("cpu"))
    context = torch.randperm(genes)[:64] if kind == "default" else None
    options = SamplingOptions(solver, solver, "latent_first", "float32" if kind == "float32" else "auto")
    literal = velocity_of("literal", flow, torch.device("cpu"))
    start = time.perf_counter()
    with torch.no_grad():
        for _ in range(perturbations):
            for first in range(0, cells, 32):
                part = slice(first, first + 32)
                if kind == "literal":
                    rate = partial(literal_rate, literal, control[part], tokens, perturbation[part])
                    solver.integrate(rate, x0[part])
                else:
                    given = control[part].unsqueeze(-1)
                    sample_expression(flow, given, perturbation[:1], x0[part], None, context, options)
    return {"seconds": (time.perf_counter() - start) / perturbations, "mb": peak_mb()}


def literal_rate(velocity, control, tokens, perturbation, t, x):
    return velocity(x, control, t.expand(len(x)), tokens, perturbation)


def run_features() -> dict:
    """Memory and seconds of the attention change of one pair: 5,000 genes, width 512, 8 heads."""
    from methods._grn.features import Projection, attention_change
    from methods._grn.sources import TransformerSource, frozen
    from methods._grn.transformer import GeneTransformer

    genes = 5000
    model = frozen(GeneTransformer(genes, 512, 8, 2))
    source = TransformerSource(model, torch.zeros(genes), torch.ones(genes))
    project = Projection(torch.randn(genes, 64), top_k=30)
    control, perturbed = torch.rand(2, 1, genes)
    before, start = peak_mb(), time.perf_counter()
    attention_change(source, control, perturbed, project)
    return {"seconds": time.perf_counter() - start, "mb": peak_mb() - before, "total_mb": peak_mb()}


def apart(name: str, *arguments) -> dict:
    """Run one measurement in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--child", name, json.dumps(arguments)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


def step() -> None:
    print(f"training step, width 512, 8 heads, 4 layers, batch 8, 500 genes, {THREADS} threads")
    found = {kind: apart("step", kind, 8, 500, 3 if kind == "literal" else 5, "cpu") for kind in KINDS}
    report(found, "s a step (medians of 5; of 3 for the literal one)")


def sampling() -> None:
    print("sampling 128 cells x 37 perturbations x 1,000 genes, small sizes, midpoint in 2 steps")
    found = {kind: apart("sampling", kind, 128, 1 if kind == "literal" else 3) for kind in KINDS}
    found["default"] = apart("sampling", "default", 128, 3)
    for one in found.values():
        one["seconds"] *= 37
    report(found, "s (scaled from 3 perturbations; from 1 for the literal one; default reads 64 genes)")


def features() -> None:
    found = apart("features")
    print(
        f"attention change of one pair, 5,000 genes, width 512, 8 heads: {found['seconds']:.1f} s, "
        f"{found['mb']:.0f} MB above the {found['total_mb'] - found['mb']:.0f} MB before (target under 1,024)"
    )


def cuda() -> None:
    """Step of the paper preset on a GPU, batch 96, 1,000 genes.

    A step is counted as 6 multiply-adds (2 forward, 4 backward, in FLOPs) per weight of the layers and token,
    plus those of four maps per layer: 12 x 2 x 2 x genes x width per token and layer.
    """
    if not torch.cuda.is_available():
        print("on a GPU: skipped, there is none here")
        return
    found = {kind: apart("step", kind, 96, 1000, 5, "cuda") for kind in KINDS}
    report(found, "s a step on the GPU (medians of 5)")
    weights = count_parameters(PAPER) - 2 * PAPER.n_tokens * PAPER.width
    flops = 96 * 1000 * (6 * weights + 12 * 4 * 1000 * PAPER.width * PAPER.layers)
    seconds = found["auto"]["seconds"]
    print(
        f"  {96 / seconds:.0f} cells a second, "
        f"{flops / seconds / H100_BF16_FLOPS:.0%} of 989 TFLOP/s (H100, bf16)"
    )


def report(found: dict[str, dict], unit: str) -> None:
    literal = found["literal"]
    for kind, one in found.items():
        print(
            f"  {kind:9s} {one['seconds']:8.3f} {unit}, {one['mb']:6.0f} MB; "
            f"{literal['seconds'] / one['seconds']:.1f} times as fast, "
            f"{one['mb'] / literal['mb']:.2f} of the memory"
        )


KINDS = ("literal", "float32", "auto")
CHILDREN = {
    "step": lambda kind, cells, genes, repeats, device: run_steps(kind, PAPER, cells, genes, repeats, device),
    "sampling": run_sampling,
    "features": run_features,
}
PARTS = {"step": step, "sampling": sampling, "features": features, "cuda": cuda}

if __name__ == "__main__":
    torch.set_num_threads(THREADS)
    if sys.argv[1:2] == ["--child"]:
        print(json.dumps(CHILDREN[sys.argv[2]](*json.loads(sys.argv[3]))))
    else:
        for part in sys.argv[1:] or PARTS:
            PARTS[part]()
