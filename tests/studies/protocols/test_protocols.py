"""Published settings: data and splits are checked first, and published numbers stand beside ours."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest

from benchmark.data import load_dataset
from benchmark.data.cards import load_card
from benchmark.errors import BenchmarkError
from benchmark.splits import SCHEMES, load_split
from benchmark.studies.protocols import (
    list_protocols,
    load_protocol,
    protocol_lines,
    published_rows,
)
from benchmark.studies.protocols.quantities import GROUPS, QUANTITIES, Setting
from benchmark.studies.protocols.recorded import in_group
from tests.studies.protocols.protocol_case import (
    MINI,
    mini_cells,
    write_mini,
    write_mini_card,
    write_protocol,
)

SHIPPED = [
    "norman_doubles_ahlmann_eltze",
    "norman_gears_simulation",
    "norman_scdfm_additive",
    "norman_scdfm_holdout",
]


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_protocol_can_be_used(name: str) -> None:
    """Its data set has a card with an address, its split a scheme, its numbers names that exist here."""
    card = load_protocol(name)
    assert load_card(card.dataset).url
    assert card.split in SCHEMES
    assert card.citation
    assert card.notes
    assert card.published
    for row in published_rows(card):
        assert row.published
        assert row.group in {"", "single", "double", *GROUPS}
        assert row.other or any(value is not None for value in row.metrics.values())
    for row in card.published:
        assert set(row.metrics) <= set(card.metrics)
    assert {value.seed for value in card.sanity} <= {None, *card.seeds}


def test_the_values_to_reproduce_are_the_published_ones() -> None:
    """No-change values of GEARS for seeds 1 to 5; control L2, MSE and MAE of fold 1 of scDFM."""
    gears = [value for value in load_protocol(SHIPPED[1]).sanity if value.quantity == "no_change_mse_top20_t"]
    assert [value.seed for value in gears] == [1, 2, 3, 4, 5]
    assert [value.expected for value in gears] == [0.4383, 0.5159, 0.4531, 0.3882, 0.5410]
    scdfm = {value.quantity: value for value in load_protocol(SHIPPED[2]).sanity if value.seed == 1}
    assert {name: value.expected for name, value in scdfm.items()} == {
        "no_change_l2": 3.834,
        "no_change_mse": 0.01708,
        "no_change_mae": 0.03717,
    }


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (MINI.replace("seeds", "sedes"), "not valid: seeds: Field required"),
        (MINI + "colour = 1\n", "published.1.colour: Extra inputs are not permitted"),
        (MINI.replace('"figure"', '"rumour"'), "published.0.source: Input should be 'table'"),
        (MINI.replace("seeds = [0, 1]", "seeds = []"), "seeds: Tuple should have at least 1"),
        ("title = ", "cannot be read"),
    ],
)
def test_an_invalid_card_is_refused_in_one_sentence(home: Path, text: str, reason: str) -> None:
    """With its path, and what is wrong with it."""
    write_protocol(home, text)
    with pytest.raises(BenchmarkError, match=r"protocol card .*mini_protocol\.toml") as caught:
        load_protocol("mini_protocol")
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            MINI.replace('"pearson"]', '"perason"]'),
            "no metric of protocol 'mini_protocol' 'perason'; did you mean 'pearson'",
        ),
        (MINI.replace("{ mse = 0.001 }", "{ msse = 0.001 }"), "no metric of protocol 'mini_protocol' 'msse'"),
        (MINI.replace('"cells"', '"celsl"'), "no quantity of protocol 'mini_protocol' 'celsl'; did you mean"),
    ],
)
def test_names_are_looked_up_when_a_card_is_used(home: Path, text: str, sentence: str) -> None:
    """The list still shows the card; using it names what does not exist."""
    write_protocol(home, text)
    assert "mini_protocol" in [card.name for card in list_protocols()]
    with pytest.raises(BenchmarkError, match=sentence):
        load_protocol("mini_protocol")


@pytest.mark.parametrize(
    ("label", "own", "groups"),
    [
        ("A", "unseen_single", {"", "single", "unseen_single"}),
        ("A+B", "combo_seen1", {"", "double", "combo_seen1"}),
    ],
)
def test_groups_are_kinds_or_those_of_the_split(label: str, own: str, groups: set[str]) -> None:
    """Every published group takes in the perturbations that it names."""
    every = ["", "single", "double", *GROUPS]
    assert {group for group in every if in_group(label, own, group)} == groups


def test_a_protocol_shows_sanity_values_and_published_rows_without_a_method(
    home: Path, store: Path, type_: Callable
) -> None:
    """What was read off a figure says so; nothing is recorded."""
    write_mini(home)
    code, out, _ = type_("protocol", "mini_protocol")
    assert code == 0
    assert out.index("cells of the data set") < out.index("Best")
    assert "agrees" in out
    assert out.count("published, not run here") == 2
    assert "[1] Doe (2020); read off a figure" in out
    assert "[2] Roe (2021); from a table; one seed" in out
    rows = json.loads(type_("protocol", "mini_protocol", "--json")[1])["rows"]
    assert [row["method"] for row in rows] == ["Best", "Second"]
    assert rows[0]["metrics"] == {"mse": 0.001, "pearson": None}
    assert rows[0]["other"] == {"Rank score": 0.9}


def test_a_method_is_run_for_each_seed_and_stands_beside_what_was_published(
    home: Path, store: Path, type_: Callable
) -> None:
    """Means over test perturbations, then seeds; all control cells are used, so no_change is exact."""
    write_mini(home)
    code, out, _ = type_("protocol", "mini_protocol", "--method", "no_change", "--no-anchors", "--json")
    assert code == 0
    rows = json.loads(out)["rows"]
    assert [(row["method"], row["group"]) for row in rows] == [
        ("no_change", ""),
        ("Best", ""),
        ("no_change", "double"),
        ("Second", "double"),
    ]
    assert rows[0]["seeds"] == [0, 1]
    assert rows[0]["published"] == ""
    dataset, card = load_dataset("mini"), load_protocol("mini_protocol")
    expected = np.mean(
        [
            QUANTITIES["no_change_mse"].measure(Setting(dataset, load_split(dataset, "doubles", seed)))
            for seed in (0, 1)
        ]
    )
    assert rows[0]["metrics"]["mse"] == pytest.approx(expected, rel=1e-5)
    assert [line.method for line in protocol_lines(card, dataset)] == [row["method"] for row in rows]


def test_fewer_genes_are_scored_anew_from_the_archive(home: Path, store: Path, type_: Callable) -> None:
    """The error over the most variable genes is that of the sanity value on those, not of the record."""
    write_mini(home, protocol=MINI.replace("cells = 40", "cells = 40\nmost_variable = 10"))
    arguments = ("protocol", "mini_protocol", "--method", "no_change", "--seeds", "1", "--json")
    rows = json.loads(type_(*arguments)[1])["rows"]
    dataset = load_dataset("mini")
    split = load_split(dataset, "doubles", 1)
    found = {
        row["method"]: row["metrics"]["mse"] for row in rows if not row["published"] and not row["group"]
    }
    assert set(found) == {"limit", "ceiling", "no_change", "train_mean", "additive"}
    assert found["no_change"] == pytest.approx(
        QUANTITIES["no_change_mse"].measure(Setting(dataset, split, 10)), rel=1e-5
    )
    assert found["no_change"] > QUANTITIES["no_change_mse"].measure(Setting(dataset, split))
    assert [row["method"] for row in rows[:2]] == ["limit", "ceiling"]
    ranked = [row["metrics"]["mse"] for row in rows if not row["published"] and not row["group"]][2:]
    assert ranked == sorted(ranked)


def test_runs_with_other_cells_do_not_count(home: Path, store: Path, type_: Callable) -> None:
    """A mean over fewer cells is another number."""
    write_mini(home)
    assert type_("run", "--method", "no_change", "--dataset", "mini", "--cells", "20", "--no-anchors")[0] == 0
    rows = json.loads(type_("protocol", "mini_protocol", "--json")[1])["rows"]
    assert [row["method"] for row in rows] == ["Best", "Second"]


def test_other_data_than_the_published_ones_stop_a_protocol(home: Path, store: Path, type_: Callable) -> None:
    """The values are printed first; whoever accepts the difference goes on, and is told."""
    write_mini(home, protocol=MINI.replace("expected = 256", "expected = 250"))
    code, out, err = type_("protocol", "mini_protocol", "--method", "no_change")
    assert code == 2
    assert "DIFFERS" in out
    (line,) = err.strip().splitlines()
    assert "1 of 1 sanity values of protocol 'mini_protocol' are not the published ones" in line
    assert "such as cells (256, not 250)" in line
    code, out, err = type_("protocol", "mini_protocol", "--accept-mismatch")
    assert code == 0
    assert "Accepted: 1 of 1 sanity values" in err
    assert "Best" in out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["norman_scdfm_aditive"], "There is no protocol 'norman_scdfm_aditive'; did you mean"),
        (
            ["mini_protocol", "--seeds", "0,7"],
            "'7' is no seed of protocol 'mini_protocol'; choose among 0, 1.",
        ),
        (["mini_protocol", "--method", "no_chnge"], "There is no method 'no_chnge'"),
    ],
)
def test_bad_requests_get_one_line(home: Path, type_: Callable, arguments: list[str], sentence: str) -> None:
    """Before anything is recorded."""
    write_mini(home)
    code, _, err = type_("protocol", *arguments)
    assert code == 2
    assert sentence in err.strip().splitlines()[-1]
    assert not (home / "mlflow.db").exists()


def test_protocols_are_listed_with_where_their_cells_come_from(type_: Callable) -> None:
    """Without a name; nothing is loaded."""
    rows = json.loads(type_("protocol", "--json")[1])
    assert [row["name"] for row in rows] == [*SHIPPED, "vcc2026"]
    assert {row["cells"] for row in rows[:-1]} <= {"downloaded on first use", "on this machine"}
    assert rows[-1]["cells"] == "simulated here"
    assert "norman_scdfm_holdout" in type_("protocol")[1]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """The screen in a zip, as the public file is, on a file server of this test."""
    (tmp_path / "site").mkdir()
    mini_cells().write_h5ad(tmp_path / "cells.h5ad")
    with zipfile.ZipFile(tmp_path / "site" / "mini.zip", "w") as archive:
        archive.write(tmp_path / "cells.h5ad", "data/cells.h5ad")

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(tmp_path / "site"))

        def log_message(self, *details: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_the_data_of_a_protocol_are_downloaded(home: Path, store: Path, type_: Callable, served: str) -> None:
    """From the address of the card, unpacked, and checked against the sanity values."""
    write_mini_card(home, f'url = "{served}/mini.zip"\nlocal_file = "mini.zip"\nmember = "data/cells.h5ad"\n')
    write_protocol(home, MINI)
    code, out, err = type_("protocol", "mini_protocol")
    assert code == 0, err
    assert "agrees" in out


def test_missing_data_are_one_sentence_that_says_where_they_come_from(home: Path, type_: Callable) -> None:
    """The address, and where to put a file that was fetched by hand."""
    write_mini_card(home, 'url = "http://127.0.0.1:9/mini.h5ad"\nlocal_file = "mini.h5ad"\n')
    write_protocol(home, MINI)
    code, out, err = type_("protocol", "mini_protocol")
    assert (code, out) == (2, "")
    assert "could not be downloaded from http://127.0.0.1:9/mini.h5ad" in err
    assert "BENCHMARK_DATA" in err
