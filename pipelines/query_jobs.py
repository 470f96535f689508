"""START HERE: record an org's Bulk API jobs. `python -m pipelines.query_jobs load|demo|doctor|report|check`
Installed as a package, `bulk-jobs` is the same (__main__.py).

The way of a record, room by room; a room knows only those below it (`make lint` holds it to that):

    query_jobs.py  the command line (this file)
    diagnosis/     what is wrong
        doctor.py        with the set-up;  examination.py: what it found;  recorded_files.py;  open_questions.py
        misspelt_settings.py, ignored_settings.py: of other programs;  run_errors.py: why a run ended
    demo/          the built-in org of demo_org/, recorded on a simulated clock

    recording/     from pages to rows to the loader's file
        load.py          one run, from the lock to the published copy;  progress.py: what a terminal shows meanwhile
        loader_identity.py  which loader's file this is;  merging.py: rows into it, by dlt
        source.py        the dlt source: its resources, how they merge, the incremental mark
        snapshot.py      one listing on its way into the warehouse;  listing_rows.py: what it proves
        records.py       job records to Arrow tables; those without a key
        known_jobs.py    what the warehouse holds already;  changes.py: which listed jobs are new or different
        changed_jobs.py  these on their way to dlt;  missing_jobs.py: which jobs are listed no longer
        org_metadata.py  users' names, the org's name, its limits;  org_join.py: one org under both forms of its id
        job_details.py   a run's share of what only each job's own answer has;  job_answer.py: one of these
        detail_backlog.py  which jobs are asked for it
        message_templates.py  what error messages of one kind have in common;  error_templates.py: for recorded rows
        kept_listings.py  listings that wait beside the loader's file until it can be opened
    answers/       what people ask, out of the published copy
        check.py         what needs attention;  findings/: the rules, and their words
        pictures/        the questions of report and notebook, their numbers and words;  charts.py: how they are drawn
        time_axis.py     the time that they show
        selection.py     of which org, days and jobs;  report.py: one page of it;  report_numbers.py: the same as JSON

    salesforce/    one org over HTTP; knows no table
        org.py           what is asked of it;  api_budget.py: how often;  org_clock.py: can its clock be believed?
        job_pages.py     the listing, page by page to its end
        sign_in.py       the four ways in, sf_cli.py one of them;  session.py: what they give;  session_renewal.py
        org_id.py        which org this is;  ids.py: of 15 and 18 characters
        http_clients.py  requests and retries;  transport.py: what an answer may cost
        json_answers.py  what an answer holds;  classic_xml.py: one that is XML
        api_errors.py    answers that are errors;  connection_errors.py: no answer;  redaction.py: secrets in either
    warehouse/     the loader's own file, and what is published of it
        primary.py       the loader's file and its locks;  database_file.py: how a DuckDB file is opened
        state_folder.py  the folder beside it;  file_identity.py: which file it is;  dlt_packages.py: dlt's inside
        schema.py        its columns and views (../views/);  state_spans.py: the one derived table
        tables_page.py   docs/tables.md, out of tables.py and the views
        publish.py       the published copy;  copies.py: one a day
        publishing_guards.py  what must not be replaced, by contents.py: what a file holds
        restoring.py     how to get the loader's file back;  damage.py: which part of a file is damaged
        reader.py        how it is read;  as_of.py: as it was earlier;  atomic_file.py: how files are replaced

    config/        where things are: project, settings, credentials, what dlt is answered when it asks for a setting
    tables.py      the columns of all tables;  errors.py: what can go wrong, and its exit code
    regular_files.py  files that are none;  interrupts.py: Ctrl-C and SIGTERM;  streams.py: streams that are closed
"""

import gc
import signal

if __name__ == "__main__":
    gc.disable()  # until all is imported: a tenth of a small run would go into looking for garbage among modules
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # until `main` can say so in a sentence; nothing is begun yet
    from pipelines.config.dlt_variables import set_aside

    set_aside()  # before dlt is imported
    from pipelines.streams import open_missing_streams

    open_missing_streams()  # before the imports below open any file

import argparse
import io
import logging
import os
import sys
from pathlib import Path
from typing import Final, NoReturn

from pipelines.config.dlt_context import use_project
from pipelines.config.project import version
from pipelines.config.settings import read_credentials, read_settings, warehouse_to_read
from pipelines.demo import DEMO_HOME, DEMO_WAREHOUSE
from pipelines.diagnosis.run_errors import failure_of
from pipelines.errors import Failure, causes
from pipelines.interrupts import end_on_signals, signal_behind
from pipelines.recording.load import record
from pipelines.recording.progress import progress
from pipelines.warehouse.reader import Warehouse

MOST_DAYS: Final = 36_500

logger = logging.getLogger(__name__)


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code (see `errors.py` and docs/operations.md, Exit codes)."""
    options = _parser().parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):  # a line of ours never fails for a character that a terminal has not
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.INFO if options.verbose else logging.WARNING)
    try:
        end_on_signals()
        use_project()
        if not options.verbose:
            logging.getLogger("dlt").addFilter(_without_traceback)
        exit_code = int(options.command(options))
        number = signal_behind(())  # swallowed by what was running
        return _stopped(number) if number else exit_code
    except BrokenPipeError:  # `doctor | head`: as the shell's own tools end
        return 128 + 13  # SIGPIPE, which Windows does not have
    except (Exception, KeyboardInterrupt) as error:
        return _explain(error, options.verbose)


def _load(options: argparse.Namespace) -> int:
    settings, credentials = read_settings(), read_credentials()
    _warn_of_misspelt_settings()
    with progress(wanted=not options.quiet) as seen:
        run = record(settings, credentials, seen)
    if not options.quiet:
        _say(run)
    return 0


def _warn_of_misspelt_settings() -> None:
    from pipelines.diagnosis.misspelt_settings import misspelt_settings  # noqa: PLC0415 - of `check`'s settings, too

    for problem in misspelt_settings():
        logger.warning("%s", problem)


def _demo(options: argparse.Namespace) -> int:
    from pipelines.demo.command import demo  # noqa: PLC0415 - the demo org is no part of a load

    return demo(options.days, Path(os.path.realpath(options.home)))


def _doctor(options: argparse.Namespace) -> int:
    from pipelines.diagnosis.doctor import doctor  # noqa: PLC0415

    return doctor(options.verbose)


def _check(options: argparse.Namespace) -> int:
    from pipelines.answers.check import as_json, check, read_thresholds  # noqa: PLC0415
    from pipelines.warehouse.as_of import opened_as_of  # noqa: PLC0415

    _warn_of_misspelt_settings()
    with opened_as_of(warehouse_to_read(options.warehouse, DEMO_WAREHOUSE), options.as_of) as warehouse:
        found = check(warehouse, read_thresholds())
        if options.json:
            _say(as_json(warehouse, found))
            return 1 if found else 0
        _say_if_demo(options.warehouse, warehouse)
        if found:
            _say(
                *found,
                "Already being handled? Mute it: add its key (see check --json) to known_findings in .dlt/config.toml.",
                sep="\n\n",
            )
    return 1 if found else 0


def _report(options: argparse.Namespace) -> int:
    from pipelines.answers.output_file import STDOUT  # noqa: PLC0415
    from pipelines.answers.report import write_report  # noqa: PLC0415 - a load needs no charts
    from pipelines.warehouse.as_of import opened_as_of  # noqa: PLC0415

    quiet = STDOUT in (options.output, options.numbers)
    with opened_as_of(warehouse_to_read(options.warehouse, DEMO_WAREHOUSE), options.as_of) as warehouse:
        if not quiet:
            _say_if_demo(options.warehouse, warehouse)
        write_report(warehouse, options.output, options.days, options.numbers)
        if not quiet:
            for written in filter(None, (options.output, options.numbers)):
                _say(f"Written: {os.path.relpath(written)}, of {os.path.relpath(warehouse.path)}")
    return 0


def _say(*lines: object, sep: str = "\n") -> None:
    """Prints. Whoever has closed the other end has seen enough: what was done is done, and the exit code says it."""
    try:
        print(*lines, sep=sep, flush=True)
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - to the end of the process


def _say_if_demo(given: Path | None, warehouse: Warehouse) -> None:
    if given is None and warehouse.is_demo:
        _say("Nothing of your own is recorded yet: this is the demo org, its clock stopped at the last load.")


def _parser() -> argparse.ArgumentParser:
    name = "bulk-jobs" if Path(sys.argv[0]).stem == "bulk-jobs" else "python -m pipelines.query_jobs"
    parser = argparse.ArgumentParser(prog=name, description="Record an org's Bulk API jobs.")
    parser.add_argument("--version", action="version", version=f"bulk-jobs {version()}")
    commands = parser.add_subparsers(required=True, metavar="load|demo|doctor|report|check")
    load = commands.add_parser("load", help="one incremental run against the configured org")
    load.add_argument("--quiet", action="store_true", help="print nothing but warnings on success; for cron")
    load.set_defaults(command=_load)
    demo = commands.add_parser("demo", help="record the built-in demo org and show what there is to see")
    demo.add_argument("--days", type=_days, default=30, help="simulated days (30)")
    demo.add_argument("--home", type=Path, default=DEMO_HOME, help="directory for its files (demo/)")
    demo.set_defaults(command=_demo)
    doctor = commands.add_parser("doctor", help="diagnose the set-up and suggest fixes")
    doctor.set_defaults(command=_doctor)
    report = commands.add_parser("report", help="write one HTML page of pictures, for a mail or a wiki")
    report.add_argument(
        "--output", type=Path, default=Path("report.html"), help="the file to write (report.html; -: stdout)"
    )
    report.add_argument(
        "--numbers",
        type=Path,
        metavar="FILE",
        help="write each number of the page to this file, too, as JSON (-: stdout)",
    )
    report.add_argument("--days", type=_days, default=30, help="days before the last load to show (30)")
    report.set_defaults(command=_report)
    check = commands.add_parser("check", help="list problems that need attention (exit code 1), or print nothing")
    check.add_argument("--json", action="store_true", help="the findings as JSON, an empty list too")
    check.set_defaults(command=_check)
    for command in (report, check):
        command.add_argument(
            "--as-of", metavar="TIME", help="answer as at that time (ISO 8601; UTC unless it has an offset)"
        )
        command.add_argument("--warehouse", type=Path, help="the warehouse to read (the published one, or the demo's)")
    for command in (load, demo, doctor, report, check):
        command.add_argument("--verbose", action="store_true", help="show tracebacks and what is going on")
    return parser


def _days(given: str) -> int:
    if not given.isdecimal() or not 1 <= int(given) <= MOST_DAYS:
        raise argparse.ArgumentTypeError(f"{given!r} is not a number of days from 1 to {MOST_DAYS:,}")
    return int(given)


def _explain(error: BaseException, verbose: bool) -> int:
    """Prints what went wrong to stderr, for the person who gets it as mail; returns the exit code."""
    if verbose:
        logger.error("Traceback, as asked for by --verbose", exc_info=error)
    if number := signal_behind(causes(error)):
        return _stopped(number)
    failure = failure_of(error)
    print(failure, file=sys.stderr)
    return failure.exit_code


def _without_traceback(entry: logging.LogRecord) -> bool:
    """dlt logs with a traceback, as a package left over or as a signal what it then raises; `_explain` tells it in a
    sentence."""
    text = entry.getMessage()
    said = "Traceback", "was not fully loaded", "due to signal"
    return not (entry.exc_info or any(words in text for words in said))


def _stopped(number: int) -> int:
    """Says that a signal has ended the run; returns the exit code that shells give that."""
    what = "Terminated" if number == signal.SIGTERM else "Interrupted"
    print(f"{what}. The next load picks up where this one stopped.", file=sys.stderr)
    return 128 + number


def _leave(exit_code: int) -> NoReturn:
    """Ends the process without taking it apart: every file is closed by now, and Python would go through all that dlt
    has ever made, 0.15 s a run."""
    for stream in filter(None, (sys.stdout, sys.stderr)):  # either may have been closed by whoever started us
        try:
            stream.flush()
        except BrokenPipeError:  # whoever read it has seen enough
            pass
        except OSError:  # the disk is full
            exit_code = exit_code or Failure.exit_code
    os._exit(exit_code)


if __name__ == "__main__":
    gc.freeze()
    gc.enable()
    try:
        _leave(main())
    except SystemExit as leaving:  # of argparse
        _leave(int(leaving.code or 0))
    except KeyboardInterrupt as interrupt:  # while the last words were said
        _leave(_stopped(signal_behind([interrupt])))
