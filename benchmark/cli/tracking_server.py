"""``benchmark tracking-server``: MLflow's pages for the runs of this project."""

from __future__ import annotations

import os
import socket
import sys
from typing import Annotated

import typer

from benchmark.errors import BenchmarkError

LOOPBACK = "127.0.0.1"


def tracking_server(
    port: Annotated[
        int, typer.Option(help="Where it listens, on this machine alone.", min=1, max=65535)
    ] = 5000,
) -> None:
    """Serve the runs of this project as web pages until Ctrl-C; runs may go on meanwhile."""
    from benchmark.machine.extras import require_extra
    from benchmark.machine.paths import project_home
    from benchmark.records.tracking import Tracker

    require_extra("tracking-server")
    uri = Tracker().uri
    if not uri.startswith("sqlite:"):
        raise BenchmarkError(f"The runs are in {uri}, which is no file to serve; unset MLFLOW_TRACKING_URI.")
    with socket.socket() as probe:
        if probe.connect_ex((LOOPBACK, port)) == 0:
            raise BenchmarkError(f"Something listens on port {port} already; choose another with --port.")
    print(f"http://{LOOPBACK}:{port} shows the runs; Ctrl-C ends it.", flush=True)
    # Of no use here, and a dozen processes.
    os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
    artifacts = (project_home() / "mlartifacts").resolve()
    os.execv(
        sys.executable,
        [
            *(sys.executable, "-m", "mlflow", "server", "--workers", "1"),
            *("--backend-store-uri", uri, "--artifacts-destination", str(artifacts)),
            *("--host", LOOPBACK, "--port", str(port)),
        ],
    )
