"""The first part of the report: the question and what would answer it. No result enters this text."""

from __future__ import annotations

from benchmark.board import HEADLINE
from benchmark.evaluation.statistics import CONFIDENCE, RESAMPLES
from benchmark.studies.order.arms import BAR, ORACLE
from benchmark.studies.order.experiment import Plan
from benchmark.studies.order.power import POWER
from benchmark.studies.order.preconditions import TOLERANCE
from benchmark.studies.order.reading import ALPHA, NEEDED, WORTH

SOURCES = {
    "pretrained": "attention of a gene transformer that was pretrained on the training cells",
    "regression": "a regulatory network fitted to the training cells by regression",
    "noise": "noise that says nothing",
    "wrong": "attention on the cells of another perturbation",
    "random": "attention of a transformer with untrained weights",
    "shuffled": "attention of the pretrained transformer with its gene identities permuted",
    "coexpression": "no transformer: plain co-expression",
}


def criteria(plan: Plan) -> str:
    """Write the question, the rules and the way of counting."""
    return "\n\n".join([_question(plan), _preconditions(plan), _rules(plan), _counting()])


def _question(plan: Plan) -> str:
    tested, controls = (_described(names) for names in (plan.tested, plan.controls))
    plain = plan.without_latent
    compared = ""
    if plain is not None:
        compared = f" `{plain.task.coordinates.method}`, without any latent, is compared too."
    return (
        "## What is asked\n\n"
        "Is understanding how the regulatory network changes a precondition for predicting how expression "
        f"changes, or a by-product? `{plan.trainings[0].task.coordinates.method}` learns to generate both, "
        "the change of the network and the change of expression, each at a time of its own. One set of "
        "weights can therefore predict in three orders: the latent first and expression from it "
        "(`latent_first`), expression first (`expression_first`), or both together (`joint`). If "
        "understanding the network's change comes first, `latent_first` must predict better than the other "
        "two. And it must be the network that helps: a source of the network must do better than one that "
        f"knows less of it. Asked is of {tested}; the negative controls are {controls}.{compared}"
    )


def _described(names: tuple[str, ...]) -> str:
    return "; ".join(f"`{name}`, {SOURCES[name]}" for name in names)


def _preconditions(plan: Plan) -> str:
    report = "[the report of `simulated`](order-simulated.md)"
    control = (
        f"3. With the source `{ORACLE}`, which looks up the true change of regulation, the true latent of a "
        "test perturbation, told in place of the predicted one (`true_latent`), is *ahead* of that of "
        "another perturbation (`wrong_latent`).\n"
        f"4. The positive control: with the source `{ORACLE}`, its latents predicted as those of any other, "
        "`latent_first` is *ahead* of `expression_first` and of `joint`. Where it is not, **this experiment "
        "could not have found an effect**, whatever it says of other sources."
    )
    if not plan.has_truth:
        control = (
            "3. A positive control, with a network that is known to be true, comes out ahead. Of these data "
            "nobody knows the network, so there is none, and the answer can be no more than *open*: whether "
            f"this design can find an effect where there is one is for {report} to say."
        )
    return (
        "## What must hold before anything is concluded\n\n"
        "A network that has learned too little, or does not use its latent, predicts alike in all orders and "
        "from all sources, whatever is true. So the answer about a source is **open**, whatever the "
        "comparisons say, unless all of this holds, in every seed that was asked for:\n\n"
        f"1. `latent_first` is not behind `{BAR}`, the regression that adds the effects of genes: it reads "
        f"*worse*, in the sense below, in fewer than {NEEDED} of the {len(HEADLINE)} headline metrics.\n"
        "2. Its latent is known as well as it can be. Of training doubles that were held out, the R² of "
        f"their latents is at most {TOLERANCE:g} below that of a ridge regression on the same latents and "
        "folds. And what the flow generates lies where it is told: what is missing to 1 of the R² between "
        "generated and told latents of validation perturbations, times the R² of the latents, is at most "
        f"{TOLERANCE:g}. Both are means over seeds.\n"
        f"{control}"
    )


def _rules(plan: Plan) -> str:
    metrics = ", ".join(f"`{name}`" for name in HEADLINE)
    controls = ", ".join(f"`{name}`" for name in plan.controls)
    latent = ""
    if plan.without_latent is not None:
        latent = (
            "Comparisons with *no latent* do not enter the answer, because the two methods differ in more "
            "than the latent. "
        )
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
        f"*not ahead* where it is worse or no better in at least {NEEDED}. Where the preconditions hold, the "
        'statement "understanding the network\'s change comes first" is for each source\n\n'
        "- **supported** if its `latent_first` is ahead of `expression_first` and `joint`, and of every "
        f"negative control: {controls} (all `latent_first`);\n"
        f"- **refuted** if it is *not ahead* in one of these {2 + len(plan.controls)} comparisons: the "
        "orders are equal or reversed, or a control does as well;\n"
        "- **open** otherwise, also where a comparison was not made in every seed and none refutes.\n\n"
        f"{latent}The answer holds for these methods, data and training lengths."
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
        "to support by chance. Pairs in which a metric is undefined are left out and counted. *Smallest "
        "found* is the mean difference that a test of so many perturbations, two-sided at "
        f"{ALPHA:g} and not corrected, would have found with a chance of {POWER:.0%}: (z.975 + z.80) s / √n, "
        "with the standard deviation s of the paired differences. A true difference below it would likely "
        "have been missed. Intervals and tests speak of other perturbations, not of other trainings; how "
        "many seeds agree is shown beside them, and matters most where the two arms were trained apart."
    )
