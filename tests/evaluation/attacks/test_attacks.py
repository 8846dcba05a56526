"""What cheating submissions gain: on the headline metrics nothing that is not written down here.

The attacks are entered on the split doubles-0 of `simulated`; docs/attacks.md has the numbers.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from benchmark.data import load_dataset
from benchmark.errors import BenchmarkError
from benchmark.evaluation.metrics import headline_metrics
from benchmark.splits import load_split
from benchmark.studies.vcc2026.scale import ERRORS
from tests.evaluation.attacks.attacks import ATTACKS
from tests.evaluation.attacks.broken import BROKEN
from tests.evaluation.attacks.case import (
    BASES,
    HONEST,
    Attack,
    Contest,
    as_file,
    gains,
    mean_ranks,
    share_closed,
)
from tests.evaluation.attacks.challenge import SCORE, Challenge

pytestmark = pytest.mark.slow

DOCUMENT = Path(__file__).parents[3] / "docs" / "attacks.md"

WORTH_A_WORD = 0.1
"""Share of the way to a perfect score; other control cells to start from make less of a difference."""

CLIMBS = {
    ("own_targets_up", "no_change"): "it knows what activation does to the gene itself",
    **{
        (
            name,
            "no_change",
        ): "changes are found in expressed genes, which is more than to say that there are none"
        for name in ("shifted_up", "shifted_down", "many_cells_scored")
    },
}
"""(attack, base) -> why it passes another method on some headline metric."""

ASKS_FOR_CALLS = {"de_wilcoxon_direction_fidelity", "de_wilcoxon_direction_fidelity_raw"}
"""Undefined, as in cell-eval2, where no gene is called: whoever calls none is left out of their means."""

SPIKES = ["own_targets_up", "own_targets_off", "other_targets_up", "other_targets_off"]

named = pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
on_every_base = pytest.mark.parametrize("base", BASES)


class Results:
    """Scores of attacks, each worked out once."""

    def __init__(self, contest: Contest, folder: Path) -> None:
        self.contest, self._folder = contest, folder
        self.honest = {method: contest.honest_scores(method, folder) for method in HONEST}
        self._attacked: dict[tuple[str, str], pd.DataFrame] = {}

    def attacked(self, attack: Attack, base: str) -> pd.DataFrame:
        key = attack.name, base
        if key not in self._attacked:
            self._attacked[key] = self.contest.attacked_scores(attack, base, self._folder)
        return self._attacked[key]

    def ranks(self, **instead: pd.DataFrame) -> pd.Series:
        """Mean ranks of the honest methods, some of them replaced."""
        return mean_ranks(
            pd.DataFrame({name: table.mean() for name, table in {**self.honest, **instead}.items()}).T
        )


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Results:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCHMARK_HOME", str(tmp_path_factory.mktemp("home")))
        dataset = load_dataset("simulated")
        return Results(
            Contest.on(dataset, load_split(dataset, "doubles", 0)), tmp_path_factory.mktemp("files")
        )


@pytest.fixture(scope="module")
def gained(results, tmp_path_factory) -> pd.DataFrame:
    """What attacks gain as the challenge scores them: (attack, base) by metric, + is better."""
    contest, folder = results.contest, tmp_path_factory.mktemp("challenge")
    challenge = Challenge.on(contest.dataset, contest.split)
    rows = {}
    for base in ("no_change", "train_mean"):
        honest = challenge.judge(contest.honest_file(base, folder).predicted)
        for attack in ATTACKS:
            found = challenge.judge(contest.attacked_file(attack, base, folder).predicted)
            rows[attack.name, base] = found - honest
    table = pd.DataFrame(rows).T
    table[list(ERRORS)] *= -1
    return table


def attack_named(name: str) -> Attack:
    return next(attack for attack in ATTACKS if attack.name == name)


@named
def test_an_attack_raises_no_headline_metric_but_those_that_it_declares(results, attack):
    raised = set()
    for base in BASES:
        closed = share_closed(results.honest[base], results.attacked(attack, base))[headline_metrics()]
        raised |= set(closed.index[closed > WORTH_A_WORD])
    assert raised == attack.raises


@named
@on_every_base
def test_an_attack_passes_no_other_method_but_where_it_is_known_to(results, attack, base):
    before, after = results.ranks()[base], results.ranks(**{base: results.attacked(attack, base)})[base]
    assert (after < before) == ((attack.name, base) in CLIMBS)


@named
def test_what_no_change_becomes_stays_the_last(results, attack):
    """Also where it passes another method on one metric."""
    ranks = results.ranks(no_change=results.attacked(attack, "no_change"))
    assert ranks["no_change"] == ranks.max()


@named
@on_every_base
def test_an_attack_leaves_no_score_undefined_that_was_defined(results, attack, base):
    """Means are taken over the perturbations where a metric is defined: to drop the hard ones would pay."""
    honest, attacked = results.honest[base].isna(), results.attacked(attack, base).isna()
    dropped = (attacked & ~honest).any()
    assert set(dropped.index[dropped]) <= ASKS_FOR_CALLS
    assert not ASKS_FOR_CALLS & set(headline_metrics())


@pytest.mark.parametrize("base", ["train_mean", "additive"])
def test_cells_that_are_copies_of_a_control_call_no_gene(results, base):
    """So that the exemption above is no wider than what it is there for."""
    honest = results.honest[base].isna()
    attacked = results.attacked(attack_named("copied_control"), base).isna()
    assert set((attacked & ~honest).any().loc[lambda dropped: dropped].index) == ASKS_FOR_CALLS


@on_every_base
@pytest.mark.parametrize("name", SPIKES)
def test_spiked_targets_gain_nothing_where_targets_are_left_out(results, name, base):
    gained = gains(results.honest[base], results.attacked(attack_named(name), base))
    assert (gained[["pds_l1", "pds_l2", "pds_cosine"]] == 0).all()


@pytest.mark.parametrize("name", ["own_targets_up", "other_targets_off"])
def test_spiked_targets_tell_a_perturbation_from_the_others_where_they_are_not(results, name):
    """The published rank metric that keeps all genes is no headline metric for that reason."""
    gained = gains(results.honest["no_change"], results.attacked(attack_named(name), "no_change"))
    assert gained["centroid_accuracy"] > 0.25
    assert "centroid_accuracy" not in headline_metrics()


@on_every_base
@pytest.mark.parametrize("name", ["moved_control", "reordered_genes"])
def test_own_controls_and_the_order_of_genes_do_not_count(results, name, base):
    pd.testing.assert_frame_equal(
        results.attacked(attack_named(name), base), results.honest[base], check_exact=True
    )


@pytest.mark.parametrize(
    ("name", "published"),
    [("every_gene_called", "de_overlap"), ("wrong_gene_names", "de_overlap"), ("shifted_down", "direction")],
)
def test_what_is_published_pays_for_ignorance_and_is_no_headline_metric(results, name, published):
    """Why boards rank by the adjusted overlap and the balanced direction."""
    gained = gains(results.honest["no_change"], results.attacked(attack_named(name), "no_change"))
    assert gained[published] > 0.15
    assert published not in headline_metrics()


def test_own_controls_are_told(results, tmp_path):
    file = attack_named("moved_control").submit(results.contest.honest["additive"], results.contest.known)
    (note,) = results.contest.hand_in(file, tmp_path).notes
    assert "control cells are not those of the data set" in note


def test_copied_control_is_no_change(results):
    pd.testing.assert_frame_equal(
        results.attacked(attack_named("copied_control"), "additive"),
        results.honest["no_change"],
        atol=1e-6,
        rtol=0,
    )


def test_more_cells_than_asked_for_are_not_scored(results, tmp_path):
    file = attack_named("many_cells").submit(results.contest.honest["additive"], results.contest.known)
    submission = results.contest.hand_in(file, tmp_path)
    assert {cells.shape[0] for cells in submission.predicted.values()} == {256}


def test_whoever_skips_perturbations_gets_the_train_mean_and_is_seen_to(results, tmp_path):
    attack, contest = attack_named("mostly_skipped"), results.contest
    skipped = list(contest.split.test[1:])
    attacked = results.attacked(attack, "no_change").loc[skipped, headline_metrics()]
    train_mean = results.honest["train_mean"].loc[skipped, headline_metrics()]
    pd.testing.assert_frame_equal(attacked, train_mean, atol=1e-6, rtol=0)
    file = attack.submit(contest.honest["no_change"], contest.known)
    assert set(contest.hand_in(file, tmp_path, **attack.options).fallbacks) == set(skipped)


def test_two_of_the_six_pay_for_calling_genes_whatever_is_known_of_them(gained):
    """Why neither is a headline metric: with random changes of all genes they rise by a third and more."""
    ignorant = gained.loc[("every_gene_called", "no_change")]
    assert ignorant["de_wilcoxon_direction_fidelity_yield_raw"] > 0.5
    assert ignorant["de_wilcoxon_sig_jaccard"] > 0.35


def test_spread_alone_raises_the_score_of_the_challenge(gained):
    """Means stay as they are; the twofold spread calls genes, and two of the six pay for that."""
    assert gained.loc[("more_spread", "no_change"), SCORE] > 0.25


def test_no_attack_on_who_knows_nothing_raises_the_other_four_by_much(gained):
    others = ["pds_cosine", "expr_mse_unbiased_capped_norm", "de_wilcoxon_lfc_nmae"]
    assert gained[others].max().max() < WORTH_A_WORD
    assert gained["de_wilcoxon_direction_reach_raw"].max() < 0.15


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.name)
def test_a_broken_file_is_refused_in_one_sentence(results, broken, tmp_path):
    with pytest.raises(BenchmarkError, match=broken.refused) as error:
        broken.enter(results.contest, tmp_path)
    sentence = str(error.value)
    assert "\n" not in sentence
    assert sentence.endswith(".")


def test_a_sound_file_is_not_refused(results, tmp_path):
    file = as_file(results.contest.honest["additive"], results.contest.known)
    submission = results.contest.hand_in(file, tmp_path)
    assert submission.fallbacks == {}
    assert submission.notes == []


def test_the_document_has_every_attack():
    text = DOCUMENT.read_text()
    assert [one.name for one in [*ATTACKS, *BROKEN] if f"`{one.name}`" not in text] == []
