"""The options that say where a build runs."""

from __future__ import annotations

import argparse
from contextlib import AbstractContextManager
from pathlib import Path

from app.errors import BuildError
from index_builder.workers import Remote, Workers, open_workers

TLS = ("cluster_ca", "cluster_cert", "cluster_key")


def add_cluster(parser: argparse.ArgumentParser) -> None:
    """Add them."""
    several = parser.add_argument_group("several machines")
    several.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="a Dask scheduler, such as tls://build-1:8786, instead of processes on this machine",
    )
    several.add_argument(
        "--cluster-ca", type=Path, metavar="FILE", help="the authority of its certificates, PEM"
    )
    several.add_argument(
        "--cluster-cert", type=Path, metavar="FILE", help="the builder's certificate, PEM"
    )
    several.add_argument(
        "--cluster-key", type=Path, metavar="FILE", help="the key of that certificate, PEM"
    )


def chosen_workers(arguments: argparse.Namespace) -> AbstractContextManager[Workers]:
    """The workers that arguments name; raises BuildError for options that do not go together."""
    files: list[Path | None] = [getattr(arguments, name) for name in TLS]
    remote = None
    if arguments.cluster:
        remote = Remote(arguments.cluster, *files)
    elif any(files):
        raise BuildError("--cluster-ca, --cluster-cert and --cluster-key go with --cluster")
    return open_workers(max(arguments.processes, 1), remote)
