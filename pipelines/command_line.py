"""The commands and their options; `query_jobs.py` runs them."""

import argparse
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Final

from pipelines.config.project import version

MAX_DAYS: Final = 36_500
# Keys that init takes as options; not the secrets, for every user of the machine can see the arguments of a process.
KEYS_OF_INIT: Final = {
    "instance_url": "url", "client_id": "key", "username": "user", "private_key": "file", "login_url": "url",
    "sf_cli_org": "alias",
}  # fmt: skip


def command_line_parser() -> ArgumentParser:
    """Parses the arguments; `command` is then the name of the given command."""
    name = "bulk-jobs" if Path(sys.argv[0]).stem == "bulk-jobs" else "python -m pipelines.query_jobs"
    parser = ArgumentParser(prog=name, description="Record a Salesforce org's Bulk API jobs.")
    parser.add_argument("--version", action="version", version=f"bulk-jobs {version()}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, purpose: str) -> ArgumentParser:
        return commands.add_parser(name, help=purpose, description=f"{purpose[0].upper()}{purpose[1:]}.")

    _add_load(command("load", "record what is new in the configured orgs"))
    _add_forward(command("forward", "send what is new to the database or lake of [forward]"))
    _add_demo(command("demo", "record the built-in demo org and show the result"))
    _add_init(command("init", "enter an org's keys, try them, and show the cron line"))
    command("doctor", "diagnose the set-up and suggest fixes")
    _add_report(command("report", "write one HTML page of charts, to mail or put on a wiki"))
    _add_show(command("show", "print a view as a table, or write it as CSV, JSON or Parquet"))
    _add_check(command("check", "list problems that need attention (exit code 1), or print nothing"))
    _add_metrics(command("metrics", "write a text file for Prometheus' node_exporter"))
    for each in commands.choices.values():
        each.add_argument("--verbose", action="store_true", help="show tracebacks and log messages")
        each.add_argument(
            "--log-format", choices=("text", "json"), default="text", help="json: each message is one JSON object"
        )
    return parser


def _add_load(load: ArgumentParser) -> None:
    load.add_argument("--quiet", action="store_true", help="print only warnings and errors; for cron")
    load.add_argument(
        "--org", action="append", default=[], metavar="NAME", help="record only [orgs.NAME] (repeatable; default: all)"
    )


def _add_forward(forward: ArgumentParser) -> None:
    forward.add_argument("--quiet", action="store_true", help="print only warnings and errors; for cron")
    mode = forward.add_mutually_exclusive_group()
    mode.add_argument("--init", action="store_true", help="create the tables, keys and views, and send nothing")
    mode.add_argument(
        "--full", action="store_true", help="send everything, and remove there what this recorder no longer has"
    )
    mode.add_argument("--dry-run", action="store_true", help="print how many rows would be sent, and change nothing")
    forward.add_argument(
        "--take-over", action="store_true", help="continue under the name of a recorder that will not run again"
    )


def _add_init(init: ArgumentParser) -> None:
    init.add_argument("--org", default="", metavar="NAME", help="name of the org, if there are several: [orgs.NAME]")
    init.add_argument(
        "--sign-in",
        default="",
        choices=("client-credentials", "jwt", "sf", "token"),
        help="how to sign in (default: as the other options imply; otherwise it asks)",
    )
    for key, what in KEYS_OF_INIT.items():
        init.add_argument(f"--{key.replace('_', '-')}", default="", metavar=what.upper(), help=f"the key {key}")
    init.add_argument(
        "--secret-file",
        default="",
        metavar="FILE",
        help="file to read the app's secret, or the token, from (- for stdin)",
    )
    init.add_argument("--replace", action="store_true", help="replace existing keys; the old file is kept")


def _add_demo(demo: ArgumentParser) -> None:
    demo.add_argument("--fleet", action="store_true", help="record three orgs, one of which goes silent")
    demo.add_argument("--days", type=_days, help="days to simulate (default: 28; with --fleet: 12)")
    demo.add_argument(
        "--home", type=Path, metavar="FOLDER", help="folder for its files (default: demo/; with --fleet: demo-fleet/)"
    )


def _add_report(report: ArgumentParser) -> None:
    report.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        default=Path("report.html"),
        help="file to write (default: report.html; - for stdout)",
    )
    report.add_argument(
        "--numbers",
        type=Path,
        metavar="FILE",
        help="also write all numbers of the page to this file, as JSON (- for stdout)",
    )
    report.add_argument(
        "--pngs",
        type=Path,
        metavar="FOLDER",
        help="also write the summary and each picture to this folder, as PNG, for mails without HTML",
    )
    report.add_argument("--days", type=_days, default=30, help="days to show, up to the last load (default: 30)")
    _add_what_to_read(report)


def _add_show(show: ArgumentParser) -> None:
    show.add_argument("view", nargs="?", metavar="VIEW", help="view or table to show (default: list them)")
    show.add_argument("--days", type=_days, help="rows of this many UTC days, up to the last load (default: all)")
    show.add_argument(
        "--columns", type=lambda given: given.split(","), default=[], metavar="A,B", help="only these (default: all)"
    )
    form = show.add_mutually_exclusive_group()
    for kind in ("csv", "json"):
        form.add_argument(
            f"--{kind}", nargs="?", const="-", metavar="FILE", help=f"as {kind.upper()}, to this file (default: stdout)"
        )
    form.add_argument("--parquet", metavar="FILE", help="as Parquet, to this file")
    _add_what_to_read(show)


def _add_check(check: ArgumentParser) -> None:
    check.add_argument("--json", action="store_true", help="print the findings as JSON, even if there are none")
    check.add_argument(
        "--notify", action="store_true", help="also notify each channel of [alerts] of what is new, and of what is over"
    )
    _add_what_to_read(check)


def _add_metrics(metrics: ArgumentParser) -> None:
    metrics.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        required=True,
        help="file to replace, such as …/bulk_jobs.prom (- for stdout)",
    )
    _add_what_to_read(metrics)


def _add_what_to_read(command: ArgumentParser) -> None:
    command.add_argument(
        "--org",
        action="append",
        metavar="NAME",
        default=[],
        help="only this org: its name in the settings, its own name or its id; repeatable (default: all recorded orgs)",
    )
    command.add_argument(
        "--as-of", metavar="TIME", help="show everything as of that time (ISO 8601; UTC unless it has an offset)"
    )
    command.add_argument(
        "--warehouse", type=Path, metavar="FILE", help="warehouse to read (default: the published copy)"
    )


def _days(given: str) -> int:
    if not given.isdecimal() or not 1 <= int(given) <= MAX_DAYS:
        raise argparse.ArgumentTypeError(f"{given!r} is not a number of days from 1 to {MAX_DAYS:,}")
    return int(given)
