"""What each command does: reads the settings, hands them to the room that does the work, prints what that returns."""

import logging
import os
import sys
from argparse import Namespace
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipelines.alerts.ping import LoadPing, pinging
from pipelines.config.orgs import org_names, read_orgs
from pipelines.config.settings import Settings, read_settings, warehouse_to_read
from pipelines.demo import DEMO_HOME, DEMO_WAREHOUSE, FLEET_HOME
from pipelines.diagnosis.earlier_runs import EarlierRuns
from pipelines.diagnosis.run_errors import failure_of
from pipelines.errors import LastingFailure, TemporaryError, exception_chain
from pipelines.interrupts import causing_signal
from pipelines.recording.fleet import record_fleet_under_lock
from pipelines.recording.fleet_run import FleetRun
from pipelines.recording.load import record_under_lock
from pipelines.recording.progress import progress
from pipelines.warehouse.primary import exclusive_load
from pipelines.warehouse.reader import Warehouse

if TYPE_CHECKING:
    from pipelines.alerts.notify import Notifier

FORWARD: Final = "(forward)"  # what its failures are remembered by: no org can have this name

logger = logging.getLogger(__name__)


def _load(options: Namespace) -> int:
    with pinging(_exit_code_of) as ping:
        ping.exit_code = _recorded(options, ping)
        return ping.exit_code


def _exit_code_of(error: BaseException) -> int:
    """What the process ends with because of this error."""
    number = causing_signal(exception_chain(error))
    return 128 + number if number else failure_of(error).exit_code


def _recorded(options: Namespace, ping: LoadPing) -> int:
    settings, orgs = read_settings(), read_orgs(options.org)
    _warn_of_misspelt_settings(except_for={org.problem.message for org in orgs if org.problem})
    earlier = EarlierRuns(settings.primary_file)

    def load() -> int:
        with earlier.remembering_hosts(), progress(wanted=not options.quiet) as callbacks:
            if orgs[0].name:
                with exclusive_load(settings.primary_file):
                    ping.start()
                    run_of_all = record_fleet_under_lock(settings, orgs, org_names(), callbacks)
                return _tell_of_fleet(run_of_all, earlier, _patience(options, settings), options.quiet)
            credentials = orgs[0].usable_credentials
            with exclusive_load(settings.primary_file):
                ping.start()
                run = record_under_lock(settings, credentials, callbacks)
        if not options.quiet:
            _say(run)
        if run.failure:
            raise run.failure
        return 0

    return _with_patience(load, "", options, settings)


def _patience(options: Namespace, settings: Settings) -> float | None:
    """For how many hours temporary failures are not told of; None: they are told of at once."""
    return settings.quiet_hours if options.quiet and not options.verbose else None


def _with_patience(run: Callable[[], int], name: str, options: Namespace, settings: Settings) -> int:
    """Runs this; a temporary failure is told of as the options want it. `name` is what it is remembered by."""
    earlier, patience = EarlierRuns(settings.primary_file), _patience(options, settings)
    try:
        exit_code = run()
    except Exception as error:
        if causing_signal(exception_chain(error)):
            raise
        failure = failure_of(error)
        told = earlier.to_tell({name: failure}, patience)
        if told.get(name) is failure:
            raise
        if told:
            raise told[name] from None
        return failure.exit_code
    earlier.to_tell({name: None}, patience)
    return exit_code


def _tell_of_fleet(run: FleetRun, earlier: EarlierRuns, patience: float | None, quiet: bool) -> int:
    """Prints a line for each org, and a sum; returns the exit code."""
    failures = {name: failure_of(error) for name, error in run.errors.items()}
    told = earlier.to_tell({name: failures.get(name) for name in (*run.recorded, *failures)}, patience)
    for name in run.names:
        if name in told:
            text = " ".join(str(told[name]).split())
            print(f"{name}: {text} (exit code {told[name].exit_code})", file=sys.stderr)
        elif name in run.recorded and not quiet:
            _say(f"{name}: {run.run(name).summary}")
    if not quiet:
        _say(run)
    elif told:
        print(run, file=sys.stderr)
    if run.stopped:
        raise run.stopped
    codes = [told.get(name, failure).exit_code for name, failure in failures.items()]
    return max(codes, key=_gravity, default=0)


def _gravity(exit_code: int) -> int:
    """How much a failed org's exit code counts among several: those that will not pass by themselves come first."""
    passing = TemporaryError.exit_code, LastingFailure.exit_code
    return passing.index(exit_code) if exit_code in passing else len(passing)


def _warn_of_misspelt_settings(except_for: Collection[str] = ()) -> None:
    """Warns of all but those that the command tells of by itself."""
    from pipelines.diagnosis.misspelt_settings import misspelt_settings  # noqa: PLC0415 - imports `check`'s settings

    for problem in misspelt_settings():
        if problem.message not in except_for:
            logger.warning("%s", problem)


def _forward(options: Namespace) -> int:
    from pipelines.forwarding.command import forward_as_asked  # noqa: PLC0415 - a load does not need it

    _warn_of_misspelt_settings()

    def forward() -> int:
        lines = forward_as_asked(
            init=options.init, full=options.full, dry_run=options.dry_run, take_over=options.take_over
        )
        if not options.quiet or options.dry_run:
            _say(*lines)
        return 0

    return _with_patience(forward, FORWARD, options, read_settings())


def _demo(options: Namespace) -> int:
    if options.fleet:
        from pipelines.demo.fleet import FLEET_DAYS, demo_fleet  # noqa: PLC0415 - a load does not need the demo org

        return demo_fleet(options.days or FLEET_DAYS, Path(os.path.realpath(options.home or FLEET_HOME)))
    from pipelines.demo.command import DEMO_DAYS, demo  # noqa: PLC0415

    return demo(options.days or DEMO_DAYS, Path(os.path.realpath(options.home or DEMO_HOME)))


def _doctor(options: Namespace) -> int:
    from pipelines.diagnosis.doctor import doctor  # noqa: PLC0415

    return doctor(options.verbose)


def _check(options: Namespace) -> int:
    from pipelines.answers.check import as_json, check, read_thresholds  # noqa: PLC0415
    from pipelines.answers.check_text import as_text  # noqa: PLC0415
    from pipelines.warehouse.as_of import opened_as_of  # noqa: PLC0415

    _warn_of_misspelt_settings()
    with _notifier(options) as notifier:
        fallback = DEMO_WAREHOUSE if notifier is None else Path()
        with opened_as_of(warehouse_to_read(options.warehouse, fallback), options.as_of) as warehouse:
            thresholds = read_thresholds()
            found = check(warehouse, thresholds, names=options.org)
            if notifier:
                notifier.note(warehouse, found, thresholds, options.org)
            if options.json:
                _say(as_json(warehouse, found))
            else:
                _say_if_demo(options.warehouse, warehouse)
            if found and not options.json:
                _say(*as_text(found), sep="\n\n")
    return 1 if found else 0


def _notifier(options: Namespace) -> "AbstractContextManager[Notifier | None]":
    """What sends the notifications, if they are asked for."""
    if not options.notify:
        return nullcontext()
    from pipelines.alerts.notify import notifying  # noqa: PLC0415 - Apprise takes a while to import

    return notifying(options.warehouse, options.org, options.as_of)


def _metrics(options: Namespace) -> int:
    from pipelines.alerts.metrics import write_metrics  # noqa: PLC0415
    from pipelines.answers.check import check, read_thresholds  # noqa: PLC0415
    from pipelines.warehouse.as_of import opened_as_of  # noqa: PLC0415

    # The demo is no fallback here: its numbers would look like those of an org.
    with opened_as_of(warehouse_to_read(options.warehouse, Path()), options.as_of) as warehouse:
        found = check(warehouse, read_thresholds(), names=options.org)
        write_metrics(warehouse, found, options.output, options.org)
    return 0


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
    "doctor": _doctor,
    "report": _report,
    "check": _check,
    "metrics": _metrics,
}
