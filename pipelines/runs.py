"""What `load` and `forward` do: they run, say what came of it, and are patient with what passes by itself."""

import logging
from argparse import Namespace
from collections.abc import Callable, Collection
from typing import Final

from pipelines.alerts.ping import LoadPing, pinging
from pipelines.config.orgs import org_names, read_orgs
from pipelines.config.settings import Settings, read_settings
from pipelines.diagnosis.earlier_runs import EarlierRuns
from pipelines.diagnosis.run_errors import failure_of
from pipelines.errors import ConfigError, LastingFailure, TemporaryError, exception_chain
from pipelines.interrupts import causing_signal
from pipelines.org_log import as_said, say, say_failure
from pipelines.recording.fleet import record_fleet_under_lock
from pipelines.recording.fleet_run import FleetRun
from pipelines.recording.load import record_under_lock
from pipelines.recording.progress import progress
from pipelines.warehouse.primary import exclusive_load

FORWARD: Final = "(forward)"  # what its failures are remembered by: no org can have this name

logger = logging.getLogger(__name__)


def load(options: Namespace) -> int:
    """Records what is new, and pings; returns the exit code, or raises what the run ends with."""
    with pinging(_exit_code_of) as ping:
        ping.exit_code = _recorded(options, ping)
        return ping.exit_code


def _exit_code_of(error: BaseException) -> int:
    """What the process ends with because of this error."""
    number = causing_signal(exception_chain(error))
    return 128 + number if number else failure_of(error).exit_code


def _recorded(options: Namespace, ping: LoadPing) -> int:
    try:
        settings, orgs = read_settings(), read_orgs(options.org)
    except ConfigError:
        warn_of_misspelt_settings()  # a key that is missing may be there under another name
        raise
    warn_of_misspelt_settings(except_for={org.problem.message for org in orgs if org.problem})
    earlier, patience = EarlierRuns(settings.primary_file), _patience(options, settings)

    def recorded() -> int:
        with earlier.remembering_hosts(), progress(wanted=not options.quiet) as callbacks:
            if orgs[0].name:
                with exclusive_load(settings.primary_file):
                    ping.start()
                    run_of_all = record_fleet_under_lock(settings, orgs, org_names(), callbacks)
                return _report_fleet(run_of_all, earlier, patience, options.quiet)
            credentials = orgs[0].usable_credentials
            with exclusive_load(settings.primary_file):
                ping.start()
                run = record_under_lock(settings, credentials, callbacks)
        if not options.quiet:
            say(as_said(run))
        if run.failure:
            raise run.failure
        return 0

    return _with_patience(recorded, "", earlier, patience)


def _patience(options: Namespace, settings: Settings) -> float | None:
    """For how many hours temporary failures are not reported; None: they are reported at once."""
    return settings.quiet_hours if options.quiet and not options.verbose else None


def _with_patience(run: Callable[[], int], name: str, earlier: EarlierRuns, patience: float | None) -> int:
    """Runs this; reports a temporary failure only if the patience is over. `name` is what it is remembered by."""
    try:
        exit_code = run()
    except Exception as error:
        if causing_signal(exception_chain(error)):
            raise
        failure = failure_of(error)
        reported = earlier.to_report({name: failure}, patience)
        if reported.get(name) is failure:
            raise
        if reported:
            raise reported[name] from None
        return failure.exit_code
    earlier.to_report({name: None}, patience)
    return exit_code


def _report_fleet(run: FleetRun, earlier: EarlierRuns, patience: float | None, quiet: bool) -> int:
    """Prints a line for each org, and a sum; returns the exit code."""
    failures = {name: failure_of(error) for name, error in run.errors.items()}
    reported = earlier.to_report({name: failures.get(name) for name in (*run.recorded, *failures)}, patience)
    for name in run.names:
        if name in reported:
            text = " ".join(str(reported[name]).split())
            say_failure(f"{text} (exit code {reported[name].exit_code})", reported[name].exit_code, name)
        elif name in run.recorded and not quiet:
            say(as_said(run.run(name).summary, name))
    if not quiet:
        say(as_said(run))
    elif reported:
        say_failure(run)
    if run.stopped:
        raise run.stopped
    codes = [reported.get(name, failure).exit_code for name, failure in failures.items()]
    return max(codes, key=_gravity, default=0)


def _gravity(exit_code: int) -> int:
    """How much a failed org's exit code counts among several: those that will not pass by themselves come first."""
    passing = TemporaryError.exit_code, LastingFailure.exit_code
    return passing.index(exit_code) if exit_code in passing else len(passing)


def forward(options: Namespace) -> int:
    """Sends what is new; returns the exit code, or raises what the run ends with."""
    from pipelines.forwarding.command import forward_as_asked  # noqa: PLC0415 - a load does not need it

    warn_of_misspelt_settings()

    def sent() -> int:
        lines = forward_as_asked(
            init=options.init, full=options.full, dry_run=options.dry_run, take_over=options.take_over
        )
        if not options.quiet or options.dry_run:
            say(*map(as_said, lines))
        return 0

    settings = read_settings()
    return _with_patience(sent, FORWARD, EarlierRuns(settings.primary_file), _patience(options, settings))


def warn_of_misspelt_settings(except_for: Collection[str] = ()) -> None:
    """Warns of all but those that the command itself reports."""
    from pipelines.diagnosis.misspelt_settings import misspelt_settings  # noqa: PLC0415 - imports `check`'s settings

    for problem in misspelt_settings():
        if problem.message not in except_for:
            logger.warning("%s", problem)
