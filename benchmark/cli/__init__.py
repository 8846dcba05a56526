"""The command line. Commands import what they need when they run, so that help comes at once."""

from __future__ import annotations

import difflib
import logging
import sys
from functools import partial
from typing import NoReturn

import typer
from typer.exceptions import TyperException

from benchmark.cli import (
    check,
    compare,
    curves,
    datasets,
    doctor,
    export,
    install,
    leaderboard,
    listings,
    metrics,
    network,
    new,
    order,
    protocol,
    publish,
    recorded,
    report,
    rescore,
    run,
    score,
    splits,
    sweep,
    tracking_server,
    trust,
    tune,
)
from benchmark.errors import BenchmarkError
from benchmark.failures import NO_RIGHT, NO_ROOM, MethodFailedError
from benchmark.machine.processes import INTERRUPTED

app = typer.Typer(
    name="benchmark",
    help="Compare methods that predict the transcriptome of genetically perturbed cells.",
    epilog="--debug, anywhere, shows the traceback of an error.",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("run")(run.run)
app.command("score")(score.score)
app.command("rescore")(rescore.rescore)
app.command("tune")(tune.tune)
app.command("sweep")(sweep.sweep)
app.command("leaderboard")(leaderboard.leaderboard)
app.command("publish")(publish.publish)
app.command("report")(report.report)
app.command("compare")(compare.compare)
app.command("export")(export.export)
app.command("protocol")(protocol.protocol)
app.command("network")(network.network)
app.command("order")(order.order)
app.command("trust")(trust.trust)
app.command("curves")(curves.curves)
app.command("tracking-server")(tracking_server.tracking_server)
app.command("install")(install.install)
app.command("uninstall")(install.uninstall)
app.command("doctor")(doctor.doctor)
app.command("methods")(listings.methods)
app.command("check")(check.check)
app.command("metrics")(metrics.metrics)
app.add_typer(datasets.app, name="datasets")
app.add_typer(recorded.app, name="runs")
app.add_typer(new.app, name="new")
app.add_typer(splits.app, name="splits")


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run a command and exit: 0 done, 2 for what the user can mend, 130 when interrupted."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments
    logging.basicConfig(format="%(message)s", stream=sys.stderr, level=logging.WARNING)
    logging.getLogger("benchmark").setLevel(logging.INFO)
    message = None
    try:
        code = app(
            [argument for argument in arguments if argument != "--debug"],
            prog_name="python -m benchmark",
            standalone_mode=False,
            obj=partial(main, arguments),  # the same command again, for a process beside this one
        )
    except KeyboardInterrupt:
        code = INTERRUPTED
    except Exception as error:
        if debug:
            raise
        message, code = _explain(error)
    if code == INTERRUPTED:  # typer returns it for an interrupt inside a command
        message = "Interrupted; a run that had begun is recorded so, and the same command does it again."
    if message is not None:
        print(message, file=sys.stderr)
    sys.exit(code or 0)


def _explain(error: Exception) -> tuple[str, int]:
    """One line and the exit code: 2 for what a user can mend, 1 for a fault of the program or a method."""
    if isinstance(error, BenchmarkError):
        return f"Error: {error}", 2
    if isinstance(error, TyperException):
        return f"Error: {_usage(error)}", 2
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        return f"Error: The disk is full ({error.strerror}); make room and repeat the command.", 2
    if isinstance(error, OSError) and error.errno in NO_RIGHT and error.filename:
        return f"Error: {error.filename}: {error.strerror}; give the right, or set BENCHMARK_HOME.", 2
    if isinstance(error, MethodFailedError):
        return f"Error: {error}", 1
    first_line = str(error).partition("\n")[0]
    what = f"{type(error).__name__}: {first_line}"
    return f"Error: Something failed that should not: {what}; --debug shows where.", 1


def _usage(error: TyperException) -> str:
    """What is wrong with the arguments, with the closest option where one was misspelt."""
    name = getattr(error, "option_name", None)
    context = getattr(error, "ctx", None)
    if name is None or context is None or hasattr(error, "param_hint"):
        return error.format_message()
    options = [option for parameter in context.command.params for option in parameter.opts]
    close = difflib.get_close_matches(name, options, n=1, cutoff=0.5)
    advice = f"did you mean '{close[0]}'?" if close else f"`{context.command_path} --help` lists them."
    return f"There is no option '{name}'; {advice}"
