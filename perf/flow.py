"""What the fast network costs beside a literal one of scDFM, and attention features at full size.

    python perf/flow.py [step] [sampling] [features] [cuda]     all unless named

Both networks have the same weights and get the same inputs, on two threads, which sleep while they wait, so
that other work on the machine disturbs less. The literal one (`tests/methods/scdfm/literal.py`) forms both
attention maps in float32 and runs the gene encoder at every call. Every measurement is made in a process of
its own, so that peak memory is its own; it warms up once. The kinds take turns, five rounds of them: figures
are medians over the rounds, and so are ratios, each of two measurements of one round. CPU seconds are of all
threads."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from measuring import peak_mb
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from methods._flow.backbone import Flow, FlowShape, build_flow
from methods._flow.mmd import mmd
from methods._flow.paths import at_time
from methods._flow.precision import autocast
from methods._flow.sampling import SamplingOptions, Solver, sample_expression
from tests.methods.grn.attention_case import dense_maps, expression, source
from tests.methods.scdfm.literal import LiteralFlow

PAPER = FlowShape(6000, 512, 8, 4, dropout=0.1, standardised=False, inverse_task=True)
SMALL = replace(PAPER, n_tokens=1002, width=64, heads=2, layers=1)
SOLVER = Solver("midpoint", 2)
CONTEXT = 64
"""Genes that attention reads from in the preset `small`."""
CHUNK = 32
"""Cells that are sampled at once."""
PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12}
"""Dense bfloat16 FLOP/s by name of the GPU, from the vendor's data sheets."""
KINDS = ("literal", "float32", "auto")
ROUNDS, THREADS = 5, 2
PERTURBATION = torch.tensor([[1, 2]])

Sample = Callable[[Tensor, Tensor], Tensor]


def network(shape: FlowShape) -> Flow:
    """Build an untrained flow whose tokens have 60 neighbours, as with K = 30 in both directions."""
    flow = build_flow(shape, 0)
    n_tokens, random = shape.n_tokens, torch.Generator().manual_seed(0)
    near = torch.rand(n_tokens, n_tokens, generator=random) < 30 / n_tokens
    flow.genes.neighbours.mask.logical_or_(near | near.T)
    return flow


def cells(count: int, genes: int, device: str = "cpu") -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Noise, data, control cells, all (cells, genes), and times."""
    random = torch.Generator().manual_seed(0)
    noise, data, control = torch.randn(3, count, genes, generator=random)
    times = torch.rand(count, generator=random)
    return noise.to(device), data.abs().to(device), control.abs().to(device), times.to(device)


def velocity_of(kind: str, flow: Flow, x: Tensor, control: Tensor, times: Tensor) -> Tensor:
    """Velocity of the first genes of the vocabulary, in float32."""
    genes, perturbation = torch.arange(x.shape[1], device=x.device), PERTURBATION.to(x.device)
    if kind == "literal":
        shape, weights = flow.shape, flow.state_dict(keep_vars=True)
        drop = nn.Dropout(shape.dropout).train(flow.training)
        literal = LiteralFlow(weights, shape.heads, shape.layers, shape.time_scale, drop)
        return literal.velocity(x, control, times, genes, perturbation.expand(len(x), 2))
    with autocast(x.device, kind):
        return flow(x, control.unsqueeze(-1), flow.encode(genes, perturbation), times)[0].float()


def measure_step(kind: str, count: int, genes: int, repeats: int, device: str) -> dict:
    """Measure training steps of the paper's network: forward, loss, backward and Adam."""
    flow = network(PAPER).to(device).train()
    if device == "cuda" and kind != "literal":
        flow.compile(dynamic=True)
    optimiser = torch.optim.Adam(flow.parameters(), lr=5e-5)
    noise, data, control, times = cells(count, genes, device)

    def step() -> None:
        x = at_time(noise, data, times)
        velocity = velocity_of(kind, flow, x, control, times)
        end = x + (1 - times).unsqueeze(1) * velocity
        loss = (velocity - (data - noise)).square().mean() + 0.5 * mmd(end, data)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        loss.item()

    step()
    with clock() as found:
        for _ in range(repeats):
            step()
    if device == "cuda":
        found["mb"] = torch.cuda.max_memory_allocated() / 2**20
    return {**found, "seconds": found["seconds"] / repeats, "cpu": found["cpu"] / repeats}


def measure_sampling(kind: str, count: int, perturbations: int, genes: int = 1000) -> dict:
    """Measure sampling some cells of some perturbations; `small` reads from 64 genes, the rest from all."""
    flow = network(SMALL).eval()
    noise, _, control, _ = cells(count, genes)
    options = SamplingOptions(SOLVER, SOLVER, "latent_first", "float32" if kind == "float32" else "auto")
    context = torch.randperm(genes, generator=torch.Generator().manual_seed(0))[:CONTEXT]

    def fast(x: Tensor, given: Tensor) -> Tensor:
        read = context if kind == "small" else None
        return sample_expression(flow, given.unsqueeze(-1), PERTURBATION, x, None, read, options)

    def literal(x: Tensor, given: Tensor) -> Tensor:
        return SOLVER.integrate(lambda t, y: velocity_of("literal", flow, y, given, t.expand(len(y))), x)

    sample: Sample = literal if kind == "literal" else fast
    with torch.no_grad():
        sample(noise[:CHUNK], control[:CHUNK])
        with clock() as found:
            for _ in range(perturbations):
                for x, given in zip(noise.split(CHUNK), control.split(CHUNK), strict=True):
                    sample(x, given)
    return found


def measure_features(genes: int = 5000, width: int = 512, heads: int = 8) -> dict:
    """Measure the attention change of one pair, and how far it is from a dense reference of 600 genes."""
    from methods._grn.features import Projection, attention_change

    read = source(genes, width=width, heads=heads)
    project = Projection(torch.randn(genes, 64), top_k=30)
    control, perturbed = expression(2, genes).split(1)
    before = peak_mb()
    with clock() as found:
        attention_change(read, control, perturbed, project)
    few, project = source(600, width=width, heads=heads), Projection(torch.randn(600, 64))
    control, perturbed = expression(2, 600).split(1)
    dense = (dense_maps(few, perturbed) - dense_maps(few, control)) @ project.basis
    error = (attention_change(few, control, perturbed, project) - dense).abs().max().item()
    return {**found, "before": before, "error": error, "largest": dense.abs().max().item()}


@contextmanager
def clock() -> Iterator[dict]:
    """Give seconds, CPU seconds, and the peak memory of this process at the end."""
    found: dict = {}
    start, cpu = time.perf_counter(), time.process_time()
    yield found
    found.update(seconds=time.perf_counter() - start, cpu=time.process_time() - cpu, mb=peak_mb())


def apart(measure: str, *arguments: object) -> dict:
    """Make one measurement in a process of its own."""
    command = [sys.executable, __file__, "--child", measure, json.dumps(arguments)]
    waiting = {**os.environ, "OMP_NUM_THREADS": str(THREADS), "OMP_WAIT_POLICY": "passive"}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=waiting)
    return json.loads(done.stdout)


def compare(measure: str, sizes: dict[str, tuple], unit: str) -> dict[str, float]:
    """Measure kinds in turns, print medians, and ratios where sizes are the same; median seconds by kind."""
    rounds = [{kind: apart(measure, kind, *size) for kind, size in sizes.items()} for _ in range(ROUNDS)]
    names = ("seconds", "cpu", "mb")
    for kind in sizes:
        seconds, cpu, memory = (statistics.median(found[kind][name] for found in rounds) for name in names)
        line = f"  {kind:8s}{seconds:7.2f} s, {cpu:6.2f} CPU s {unit}, {memory:5.0f} MB"
        if len(set(sizes.values())) == 1:
            ratios = (statistics.median(f["literal"][name] / f[kind][name] for f in rounds) for name in names)
            line += "; literal: {:.1f} x the time, {:.1f} x the CPU time, {:.2f} x the memory".format(*ratios)
        print(line, flush=True)
    return {kind: statistics.median(found[kind]["seconds"] for found in rounds) for kind in sizes}


def step() -> None:
    print(f"training step: paper's sizes, batch 8, 500 genes, {THREADS} threads (targets: 3 x, 2 x)")
    compare("step", dict.fromkeys(KINDS, (8, 500, 2, "cpu")), "a step")


def sampling() -> None:
    print(
        f"sampling 1,000 genes, small sizes, {SOLVER.name} in {SOLVER.steps} steps (target: 5 x); genes "
        f"read from all genes, and in `small` from {CONTEXT}, as in that preset"
    )
    share = 128 * 37 // CHUNK
    seconds = compare("sampling", dict.fromkeys((*KINDS, "small"), (CHUNK, 1)), f"for {CHUNK} cells")
    print(f"  literal: {share * seconds['literal']:.0f} s for 128 cells x 37 perturbations, scaled from that")
    for kind in ("auto", "small"):
        found = apart("sampling", kind, 128, 37)
        print(f"  {kind}: {found['seconds']:.0f} s for all of them, measured once", flush=True)


def features() -> None:
    found = apart("features")
    print(
        f"attention change of one pair, 5,000 genes, width 512, 8 heads: {found['seconds']:.1f} s, "
        f"{found['mb'] - found['before']:.0f} MB above the {found['before']:.0f} MB before (target under "
        f"1,000); with 600 genes at most {found['error']:.1e} from a dense reference (target 1e-5) whose "
        f"largest value is {found['largest']:.1e}"
    )


def cuda() -> None:
    """Step of the paper preset on a GPU: batch 96, 1,000 genes.

    The literal one is measured with 8 cells, since its maps of 96 do not fit, and scaled. FLOPs of the fast
    one are 2 x 3 (a backward pass counts twice) for each weight that a token meets, which are
    (7 + 30 layers) width^2, and for both maps of both blocks, 8 layers genes width; what is done once
    per step, not per cell, is left out, and so are maps that fused kernels form again.
    """
    if not torch.cuda.is_available():
        print("training step on a GPU: skipped, there is none here")
        return
    name = torch.cuda.get_device_name()
    print(f"training step: paper preset, batch 96, 1,000 genes, {name} (target: 5 x)")
    counts = {"literal": 8, "float32": 96, "auto": 96}
    sizes = {kind: (count, 1000, 10, "cuda") for kind, count in counts.items()}
    seconds = compare("step", sizes, "a step, not yet scaled")
    rate = {kind: counts[kind] / seconds[kind] for kind in KINDS}
    width, layers = PAPER.width, PAPER.layers
    flops = 6 * 1000 * ((7 + 30 * layers) * width**2 + 8 * layers * 1000 * width)
    for kind, value in rate.items():
        print(f"  {kind:8s}{value:7.0f} cells a second, {value / rate['literal']:.1f} x the literal one")
    peak = next((peak for gpu, peak in PEAKS.items() if gpu in name), float("nan"))
    print(f"  auto: {flops * rate['auto'] / 1e12:.0f} TFLOP/s, {flops * rate['auto'] / peak:.0%} of the peak")


MEASURES = {"step": measure_step, "sampling": measure_sampling, "features": measure_features}
PARTS = {"step": step, "sampling": sampling, "features": features, "cuda": cuda}

if __name__ == "__main__":
    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    if sys.argv[1:2] == ["--child"]:
        print(json.dumps(MEASURES[sys.argv[2]](*json.loads(sys.argv[3]))))
    else:
        for part in sys.argv[1:] or PARTS:
            PARTS[part]()
