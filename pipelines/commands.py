"""What each command does: reads the settings, hands them to the room that does the work, prints what that returns."""

import os
from argparse import Namespace
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipelines.command_line import KEYS_OF_INIT
from pipelines.config.project import shown_path
from pipelines.config.settings import warehouse_to_read
from pipelines.demo import DEMO_HOME, DEMO_WAREHOUSE, FLEET_HOME
from pipelines.errors import UsageError
from pipelines.org_log import say
from pipelines.plural import counted
from pipelines.runs import forward, load, warn_of_misspelt_settings
from pipelines.warehouse.reader import Warehouse

if TYPE_CHECKING:
    from pipelines.alerts.notify import Notifier


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

    warn_of_misspelt_settings()
    with _notifier(options) as notifier:
        demo = DEMO_WAREHOUSE if notifier is None else None
        with opened_as_of(warehouse_to_read(options.warehouse, demo), options.as_of) as warehouse:
            thresholds = read_thresholds()
            found = check(warehouse, thresholds, names=options.org)
            if notifier:
                notifier.note(warehouse, found, thresholds, options.org)
            if options.json:
                say(as_json(warehouse, found))
            else:
                _say_if_demo(options.warehouse, warehouse)
            if found and not options.json:
                say(*as_text(found), sep="\n\n")
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
    with opened_as_of(warehouse_to_read(options.warehouse, None), options.as_of) as warehouse:
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
        images = write_report(warehouse, options.output, options.days, options.numbers, options.org, pngs=options.pngs)
        if not quiet:
            for written in filter(None, (options.output, options.numbers)):
                say(f"Wrote {shown_path(written)} from {shown_path(warehouse.path)}")
            if images:
                say(f"Wrote {images:,} images to {shown_path(options.pngs)}")
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
    if view is None and kind:
        raise UsageError(f"--{kind} of which view?", "Name one: show lists them.")
    if view is None:
        say(list_of_views())
        return 0
    with opened_as_of(warehouse_to_read(options.warehouse, DEMO_WAREHOUSE), options.as_of) as warehouse:
        shown = Shown(warehouse, view, options.days, options.org, options.columns)
        output = Path(file)
        if not kind or output != STDOUT:
            _say_if_demo(options.warehouse, warehouse)
        if not kind:
            say(shown.as_table())
            return 0
        rows = shown.write(kind, output)
        if output != STDOUT:
            say(f"Wrote {counted(rows, 'row')} of {shown.name} to {shown_path(output)}")
    return 0


def _say_if_demo(given: Path | None, warehouse: Warehouse) -> None:
    if given is None and warehouse.is_demo:
        say("Your own org is not recorded yet. This is the demo; its clock stopped at the last load.")


COMMANDS: Final[Mapping[str, Callable[[Namespace], int]]] = {
    "load": load,
    "forward": forward,
    "demo": _demo,
    "init": _init,
    "doctor": _doctor,
    "report": _report,
    "show": _show,
    "check": _check,
    "metrics": _metrics,
}
