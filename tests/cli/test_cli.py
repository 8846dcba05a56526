"""What people type: results on stdout, one clear line on stderr for what cannot be done, exit codes."""

from __future__ import annotations

import json
import resource
import subprocess
from pathlib import Path

import anndata as ad
import numpy as np
import pytest

from benchmark.cli import main
from tests.machine.process_case import COMMAND, environment
from tests.tiny import PATH_OPTIONS


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run", "--method", "aditive"], "There is no method 'aditive'; did you mean 'additive'?"),
        (["run", "--method", "additive", "--dataset", "norman19devel"], "did you mean 'norman19_devel'?"),
        (
            ["run", "--method", "additive", "--split", "double"],
            "There is no split 'double'; did you mean 'doubles'?",
        ),
        (["run", "--metod", "additive"], "There is no option '--metod'; did you mean '--method'?"),
        (["run"], "Missing option '--method'"),
        (["rum"], "Did you mean 'run'?"),
        (["run", "--method", "additive", "--seed", "-1"], "--seed"),
        (["run", "--method", "additive", "--cells", "1"], "At least 2 cells"),
        (
            ["run", "--method", "additive", "--device", "tpu"],
            "There is no device 'tpu'; choose auto, cpu or cuda",
        ),
        (
            ["run", "--method", "linear", "--set", "rank=0"],
            "'rank' should be greater than or equal to 1, but '0'",
        ),
        (["run", "--method", "linear", "--set", "rnak=3"], "did you mean 'rank'?"),
        (["run", "--method", "linear", "--set", "rank"], "--set takes NAME=VALUE, not 'rank'"),
        (["run", "--method", "linear", "--preset", "huge"], "There is no preset 'huge'"),
        (["run", "--method", "additive", "--dataset", "gone.h5ad"], "gone.h5ad"),
        (["leaderboard", "--format", "xml"], "There is no format 'xml'"),
        (["methods", "aditive"], "did you mean 'additive'?"),
        (["methods", "linear", "--preset", "huge"], "There is no preset 'huge'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_requests_get_one_line_exit_2_and_leave_nothing(type_, home, arguments, sentence):
    code, out, err = type_(*arguments)
    assert (code, out) == (2, "")
    (line,) = err.strip().splitlines()
    assert line.startswith("Error: ")
    assert sentence in line
    assert list(home.iterdir()) == []


def spoil_nothing(cells):
    return cells


def with_value(value):
    def spoil(cells):
        cells.X.data[3] = value
        return cells

    return spoil


def one_cell_perturbation(cells):
    labels = cells.obs["perturbation"].astype(str).to_numpy()
    double = next(label for label in labels if "+" in label)
    keep = (labels != double) | (np.arange(len(labels)) == np.flatnonzero(labels == double)[0])
    return cells[keep].copy()


def relabel(new):
    def spoil(cells):
        labels = cells.obs["perturbation"].astype(str).to_numpy().astype(object)
        labels[labels == labels[-1]] = new
        cells.obs["perturbation"] = labels
        return cells

    return spoil


def duplicate_gene(cells):
    names = list(cells.var_names)
    names[1] = names[0]
    cells.var_names = names
    return cells


@pytest.mark.filterwarnings("ignore:Variable names are not unique")
@pytest.mark.parametrize(
    ("spoil", "options", "sentence"),
    [
        (spoil_nothing, [*PATH_OPTIONS[:2], "--control-label", "NT", *PATH_OPTIONS[4:]], "control"),
        (spoil_nothing, ["--perturbation-column", "perturbatoin", *PATH_OPTIONS[2:]], "'perturbation'"),
        (spoil_nothing, [*PATH_OPTIONS[:4], "--expression", "log1p"], "counts"),
        (spoil_nothing, [*PATH_OPTIONS[:4], "--expression", "raw"], "counts"),
        (with_value(np.nan), PATH_OPTIONS, "NaN"),
        (with_value(np.inf), PATH_OPTIONS, "infinite"),
        (with_value(-1), PATH_OPTIONS, "negative"),
        (with_value(0.5), PATH_OPTIONS, "log1p"),
        (duplicate_gene, PATH_OPTIONS, "twice|duplicate|more than once"),
        (relabel("A+B+C"), PATH_OPTIONS, "at most two"),
        (one_cell_perturbation, PATH_OPTIONS, "2 cells|one cell|1 cell"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_bad_data_get_one_line_and_leave_no_record(type_, home, screen, spoil, options, sentence):
    import re

    spoil(ad.read_h5ad(screen)).write_h5ad(screen)
    code, out, err = type_("run", "--method", "additive", "--dataset", screen, *options)
    assert (code, out) == (2, "")
    assert re.search(sentence, err.strip().splitlines()[-1]), err
    assert not (home / "mlflow.db").exists()
    assert list(home.rglob("*.json")) == []


def test_a_truncated_file_is_named(type_, screen):
    screen.write_bytes(screen.read_bytes()[:5000])
    code, _, err = type_("run", "--method", "additive", "--dataset", screen, *PATH_OPTIONS)
    assert code == 2
    assert "screen.h5ad" in err


def test_a_method_that_breaks_exits_with_1_and_two_lines_that_say_where(type_, store, screen, tmp_path):
    path = tmp_path / "own.py"
    path.write_text(
        "from methods.train_mean import TrainMean\n"
        "class Breaks(TrainMean):\n    name = 'breaks'\n    def fit(self, train, validation):\n        1/0\n"
    )
    code, _, err = type_("run", "--method", f"{path}:Breaks", "--dataset", screen, *PATH_OPTIONS)
    assert code == 1
    failure, place = err.strip().splitlines()[-2:]
    assert failure == "Error: breaks failed while fitting: ZeroDivisionError: division by zero"
    assert place == f"  {path}:5, in fit: 1/0"


def test_debug_shows_the_traceback():
    with pytest.raises(Exception, match="There is no method"):
        main(["run", "--method", "aditive", "--debug"])


def test_a_run_prints_its_record_as_json_and_its_progress_elsewhere(type_, store, screen):
    command = ["run", "--method", "additive", "--dataset", screen, *PATH_OPTIONS, "--cells", "20"]
    code, out, err = type_(*command, "--json")
    record = json.loads(out)
    assert code == 0
    assert record["coordinates"]["method"] == "additive"
    assert record["status"] == "finished"
    assert "score: 3 steps" in err
    code, out, _ = type_(*command)
    assert "--force repeats it" in out
    assert "de_overlap_adjusted" in out


def test_the_leaderboard_shows_what_was_run_in_every_format(type_, store, screen, tmp_path):
    for method in ("additive", "no_change"):
        type_("run", "--method", method, "--dataset", screen, *PATH_OPTIONS, "--cells", "20", "--no-anchors")
    code, out, _ = type_("leaderboard")
    assert code == 0
    assert out.index("additive") < out.index("no_change")
    rows = json.loads(type_("leaderboard", "--format", "json")[1])
    assert [row["rank"] for row in rows] == [1, 2]
    target = tmp_path / "board.md"
    assert type_("leaderboard", "--format", "markdown", "--output", target) == (0, "", "")
    assert target.read_text().startswith("# Leaderboard")
    assert type_("leaderboard", "--format", "csv")[1].startswith("dataset,split,rank,method")
    assert "against" in type_("leaderboard", "--table", "tests")[1]
    for options, sentence in (
        (("--table", "test"), "There is no table 'test'; did you mean 'tests'?"),
        (("--against", "additive"), "--against says what --table tests compares with; give both"),
        (("--table", "tests", "--against", "additiv"), "There is no row 'additiv'; did you mean 'additive'?"),
        (("--table", "tests", "--format", "csv"), "--table is for --format table"),
    ):
        code, _, err = type_("leaderboard", *options)
        assert code == 2
        assert sentence in err
    code, _, err = type_("leaderboard", "--dataset", "other")
    assert code == 2
    assert "there are runs of: screen (doubles)" in err


def test_an_empty_board_says_how_to_make_the_first_run(type_, store):
    code, _, err = type_("leaderboard")
    assert code == 2
    assert "python -m benchmark run" in err
    assert json.loads(type_("leaderboard", "--format", "json")[1]) == []


def test_methods_are_listed_and_described(type_):
    names = [row["name"] for row in json.loads(type_("methods", "--json")[1])]
    assert {"additive", "linear", "grnflow_sparse_pca"} <= set(names)
    assert "additive" in type_("methods")[1]
    pytest.importorskip("torch", reason="the extra 'flows' is not installed")
    about = json.loads(type_("methods", "grnflow_sparse_pca", "--preset", "paper", "--json")[1])
    assert about["preset"] == "paper"
    assert about["parameters"] > 1_000_000
    assert {"name", "bounds", "search", "help", "value"} <= set(about["hyper_parameters"][0])
    assert "trainable parameters" in type_("methods", "grnflow_sparse_pca")[1]


def test_data_sets_and_splits_are_listed(type_):
    names = [row["name"] for row in json.loads(type_("datasets", "--json")[1])]
    assert {"simulated", "norman19", "norman19_devel", "carpool_semi"} <= set(names)
    rows = json.loads(type_("splits", "--json")[1])
    assert {"dataset", "split", "seed", "train", "validation", "test"} <= set(rows[0])
    assert "simulated" in type_("splits", "list")[1]


@pytest.mark.slow
def test_frozen_splits_are_made_once_and_found_sound(type_):
    code, out, _ = type_("splits", "make", "--dataset", "simulated", "--split", "doubles", "--seed", "0")
    assert code == 0
    assert "digest" in out
    code, out, _ = type_("splits", "check", "--dataset", "simulated")
    assert code == 0
    assert out.splitlines()[-1] == "simulated doubles-0: sound"


def test_a_full_disk_is_said_in_one_line(screen, tmp_path):
    """Every file stops growing at 64 KiB, as on a disk without room; that of a measured coverage, too."""
    unmeasured = {name: value for name, value in environment().items() if not name.startswith("COVERAGE_")}
    done = subprocess.run(
        [*COMMAND, "run", "--method", "additive", "--dataset", str(screen), *PATH_OPTIONS],
        capture_output=True,
        text=True,
        env=unmeasured,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536)),
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith("Error: ")


def test_an_unusable_store_is_named(type_, screen, home):
    Path(home / "mlflow.db").write_text("this is no database" * 100)
    code, _, err = type_("run", "--method", "additive", "--dataset", screen, *PATH_OPTIONS)
    assert code == 2
    assert "mlflow.db cannot be used" in err


def test_an_unreachable_tracking_server_is_named(type_, screen, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    code, _, err = type_("run", "--method", "additive", "--dataset", screen, *PATH_OPTIONS)
    assert code == 2
    assert "http://127.0.0.1:9 cannot be used" in err
