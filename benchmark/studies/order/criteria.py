"""The first part of the report: the question and what would answer it. No result enters this text."""

from __future__ import annotations

from benchmark.board import HEADLINE
from benchmark.evaluation.statistics import CONFIDENCE, RESAMPLES
from benchmark.studies.order.arms import BASELINE, CONTROLS, DECISIVE, OF_LATENT, OF_ORDERS, OF_SOURCES
from benchmark.studies.order.plan import Plan
from benchmark.studies.order.verdict import ALPHA, NEEDED, WORTH

SOURCES = {
    "random": "of a transformer with untrained weights",
    "shuffled": "of the pretrained transformer with its gene identities permuted",
    "coexpression": "of no transformer: plain co-expression",
}


def criteria(plan: Plan) -> str:
    """Write the question, the rules and the way of counting."""
    first, last = plan.trainings[0].task.coordinates.method, plan.trainings[-1].task.coordinates.method
    return "\n\n".join([_question(first, last), _rules(plan), _counting()])


def _question(method: str, without_latent: str) -> str:
    sources = "; ".join(f"`{name}`, {SOURCES[name]}" for name in CONTROLS)
    return (
        "## What is asked\n\n"
        "Is understanding how the regulatory network changes a precondition for predicting how expression "
        f"changes, or a by-product? `{method}` learns to generate both, the change of the network (of the "
        "attention of a gene transformer) and the change of expression, each at a time of its own. One set "
        "of weights can therefore predict in three orders: the latent first and expression from it "
        "(`latent_first`), expression first (`expression_first`), or both together (`joint`). If "
        "understanding the network's change comes first, `latent_first` must predict better than the other "
        "two. And it must be the network that helps: attention of the pretrained transformer must do better "
        f"than attention that knows less of it ({sources}). `{without_latent}`, without any latent, is "
        "compared too."
    )


def _rules(plan: Plan) -> str:
    metrics = ", ".join(f"`{name}`" for name in HEADLINE)
    orders = " and ".join(f"`{pair.second.order}`" for pair in OF_ORDERS)
    sources = ", ".join(f"`{pair.second.source}`" for pair in OF_SOURCES)
    left_out = [name for name in CONTROLS if name not in plan.experiment.controls]
    note = ""
    if left_out:
        names = ", ".join(f"`{name}`" for name in left_out)
        note = f" Here {names} was left out, so that the answer cannot be *supported*."
    return (
        "## What would answer it\n\n"
        f"The rules stand in the program and know no result. The headline metrics are {metrics}. In one "
        "metric the first arm of a comparison is\n\n"
        f"- *better* where the corrected p-value is below {ALPHA:g} and the whole interval is above zero, "
        "*worse* where it is below;\n"
        f"- else *no better* where the interval ends below {WORTH:.0%} of what separates the second arm's "
        "mean from a perfect score: a gain that would be worth counting is ruled out;\n"
        "- else *undecided*.\n\n"
        f"It is *ahead* where it is better in at least {NEEDED} of the {len(HEADLINE)} and worse in none, "
        f"*not ahead* where it is worse or no better in at least {NEEDED}.\n\n"
        "Nothing can be concluded about what comes first from a network that has learned too little: of one "
        "that does not use its latent, all orders and sources are equal, whatever is true. So there is a "
        "precondition: `latent_first` with pretrained attention must be ahead, in the same sense, of "
        f"`{BASELINE}`, the mean change of all training perturbations, which knows nothing of "
        "which genes were perturbed. Where it is not, nothing shows that the network *has learned enough*, "
        "and the answer is "
        f"**open**, whatever the comparisons say; so it is where a run of `{BASELINE}` or of that arm is "
        'missing, for then it cannot be judged. Where it is, the statement "understanding the '
        "network's change comes first\" is\n\n"
        f"- **supported** if `latent_first` is ahead of {orders}, and pretrained attention is ahead of every "
        f"control: {sources} (all `latent_first`);\n"
        f"- **refuted** if it is *not ahead* in one of these {len(DECISIVE)} comparisons: the orders are "
        "equal or reversed, or a control does as well;\n"
        "- **open** otherwise, also where a comparison was not made in every seed and none refutes."
        f"{note}\n\n"
        f"The comparison *{OF_LATENT.label}* does not enter the answer, because the two methods differ in "
        "more than the latent. The answer holds for these methods, data and training lengths."
    )


def _counting() -> str:
    return (
        "## How it is counted\n\n"
        "A difference is taken between two predictions of the same perturbation in the same seed, from the "
        "same control cells, and turned so that positive means: the first is better. The unit is the test "
        "perturbation: one that is tested in several seeds has the same real cells in all, so its "
        f"differences are averaged first. Intervals are the middle {CONFIDENCE:.0%} of {RESAMPLES:,} "
        "resamples of perturbations. P-values are those of the two-sided Wilcoxon signed-rank test (zeros "
        f"ranked, Pratt), corrected after Holm over the {len(HEADLINE)} headline metrics of one comparison. "
        "They are not corrected over comparisons: the statement needs all of them, which makes it no easier "
        "to support by chance. Pairs in which a metric is undefined are left out and counted. Intervals and "
        "tests speak of other perturbations, not of other trainings; how many seeds agree is shown beside "
        "them, and matters most where the two arms were trained apart."
    )
