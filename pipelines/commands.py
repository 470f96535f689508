"""What each command does: reads the settings, hands them to the room that does the work, prints what that returns."""

import logging
import os
import sys
from argparse import Namespace
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Final

from pipelines.command_line import KEYS_OF_INIT
from pipelines.config.orgs import org_names, read_orgs
from pipelines.config.settings import read_settings, warehouse_to_read
from pipelines.demo import DEMO_HOME, DEMO_WAREHOUSE, FLEET_HOME
from pipelines.diagnosis.run_errors import failure_of
from pipelines.errors import TemporaryError
from pipelines.org_log import as_said, say_failure
from pipelines.recording.fleet import record_fleet
from pipelines.recording.fleet_run import FleetRun
from pipelines.recording.load import record
from pipelines.recording.progress import progress
from pipelines.warehouse.reader import Warehouse

logger = logging.getLogger(__name__)


def _load(options: Namespace) -> int:
    settings, orgs = read_settings(), read_orgs(options.org)
    _warn_of_misspelt_settings(except_for={org.problem.message for org in orgs if org.problem})
    with progress(wanted=not options.quiet) as callbacks:
        if orgs[0].name:
            return _tell_of_fleet(record_fleet(settings, orgs, org_names(), callbacks), options.quiet)
        run = record(settings, orgs[0].usable_credentials, callbacks)
    if not options.quiet:
        _say(as_said(run))
    if run.failure:
        raise run.failure
    return 0


def _tell_of_fleet(run: FleetRun, quiet: bool) -> int:
    """Prints a line for each org, and a sum; returns the exit code."""
    failures = {name: failure_of(error) for name, error in run.errors.items()}
    for name in run.names:
        if name in failures:
            text = " ".join(str(failures[name]).split())
            say_failure(f"{text} (exit code {failures[name].exit_code})", failures[name].exit_code, name)
        elif name in run.recorded and not quiet:
            _say(as_said(run.run(name).summary, name))
    if not quiet:
        _say(as_said(run))
    elif failures:
        say_failure(run)
    if run.stopped:
        raise run.stopped
    codes = [failure.exit_code for failure in failures.values()]
    return next((code for code in codes if code != TemporaryError.exit_code), codes[0] if codes else 0)


def _warn_of_misspelt_settings(except_for: Collection[str] = ()) -> None:
    """Warns of all but those that the command tells of by itself."""
    from pipelines.diagnosis.misspelt_settings import misspelt_settings  # noqa: PLC0415 - imports `check`'s settings

    for problem in misspelt_settings():
        if problem.message not in except_for:
            logger.warning("%s", problem)


def _forward(options: Namespace) -> int:
    from pipelines.forwarding.command import forward_as_asked  # noqa: PLC0415 - a load does not need it

    _warn_of_misspelt_settings()
    lines = forward_as_asked(init=options.init, full=options.full, dry_run=options.dry_run, take_over=options.take_over)
    if not options.quiet or options.dry_run:
        _say(*map(as_said, lines))
    return 0


def _demo(options: Namespace) -> int:
    if options.fleet:
        from pipelines.demo.fleet import FLEET_DAYS, demo_fleet  # noqa: PLC0415 - a load does not need the demo org

        return demo_fleet(options.days or FLEET_DAYS, Path(os.path.realpath(options.home or FLEET_HOME)))
    from pipelines.demo.command import DEMO_DAYS, demo  # noqa: PLC0415

    return demo(options.days or DEMO_DAYS, Path(os.path.realpath(options.home or DEMO_HOME)))


def _init(options: Namespace) -> int:
    from pipelines.diagnosis.init import init  # noqa: PLC0415

    given = {key: getattr(options, key) for key in KEYS_OF_INIT}
    return init(options.sign_in, options.org, given, options.secret_file, options.replace)


def _doctor(options: Namespace) -> int:
    from pipelines.diagnosis.doctor import doctor  # noqa: PLC0415

    return doctor(options.verbose)


def _check(options: Namespace) -> int:
    from pipelines.answers.check import as_json, check, read_thresholds  # noqa: PLC0415
    from pipelines.answers.check_text import as_text  # noqa: PLC0415
    from pipelines.warehouse.as_of import opened_as_of  # noqa: PLC0415

    _warn_of_misspelt_settings()
    with opened_as_of(warehouse_to_read(options.warehouse, DEMO_WAREHOUSE), options.as_of) as warehouse:
        found = check(warehouse, read_thresholds(), names=options.org)
        if options.json:
            _say(as_json(warehouse, found))
            return 1 if found else 0
        _say_if_demo(options.warehouse, warehouse)
        if found:
            _say(*as_text(found), sep="\n\n")
    return 1 if found else 0


def _report(options: Namespace) -> int:
    from pipelines.answers.output_file import STDOUT  # noqa: PLC0415
    from pipelines.answers.report import write_report  # noqa: PLC0415 - a load needs no charts
    from pipelines.warehouse.as_of import opened_as_of  # noqa: PLC0415

    quiet = STDOUT in (options.output, options.numbers)
    with opened_as_of(warehouse_to_read(options.warehouse, DEMO_WAREHOUSE), options.as_of) as warehouse:
        if not quiet:
            _say_if_demo(options.warehouse, warehouse)
        write_report(warehouse, options.output, options.days, options.numbers, options.org)
        if not quiet:
            for written in filter(None, (options.output, options.numbers)):
                _say(f"Wrote {os.path.relpath(written)} from {os.path.relpath(warehouse.path)}")
    return 0


def _show(options: Namespace) -> int:
    from pipelines.answers.output_file import STDOUT  # noqa: PLC0415
    from pipelines.answers.show import Shown, list_of_views  # noqa: PLC0415
    from pipelines.warehouse.as_of import opened_as_of  # noqa: PLC0415

    kinds = {kind: getattr(options, kind) for kind in ("csv", "json", "parquet")}
    kind, file = next(((kind, file) for kind, file in kinds.items() if file), ("", ""))
    view = options.view
    if view is None and kind != "parquet" and file.replace("_", "").isalnum():  # `show --csv failures`
        view, file = file, str(STDOUT)
    if view is None:
        _say(list_of_views())
        return 0
    with opened_as_of(warehouse_to_read(options.warehouse, DEMO_WAREHOUSE), options.as_of) as warehouse:
        shown = Shown(warehouse, view, options.days, options.org, options.columns)
        output = Path(file)
        if not kind or output != STDOUT:
            _say_if_demo(options.warehouse, warehouse)
        if not kind:
            _say(shown.as_table())
            return 0
        rows = shown.write(kind, output)
        if output != STDOUT:
            _say(f"Wrote {rows:,} row{'' if rows == 1 else 's'} of {shown.name} to {os.path.relpath(output)}")
    return 0


def _say(*lines: object, sep: str = "\n") -> None:
    """Prints. A reader that has closed the pipe is no error: the work is done, and the exit code tells the result."""
    try:
        print(*lines, sep=sep, flush=True)
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - to the end of the process


def _say_if_demo(given: Path | None, warehouse: Warehouse) -> None:
    if given is None and warehouse.is_demo:
        _say("Your own org is not recorded yet. This is the demo org; its clock stopped at the last load.")


COMMANDS: Final[Mapping[str, Callable[[Namespace], int]]] = {
    "load": _load,
    "forward": _forward,
    "demo": _demo,
    "init": _init,
    "doctor": _doctor,
    "report": _report,
    "show": _show,
    "check": _check,
}
