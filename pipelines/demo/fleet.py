"""`make demo-fleet`: three demo orgs in one warehouse, one of which goes silent, recorded as `[orgs.*]` are."""

import shlex
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Final

from rich.console import Console

from pipelines.config.orgs import org_names, read_orgs
from pipelines.config.project import command_for, shown_path
from pipelines.demo.command import FIRST_LOAD, UNTIL, demo_home, demo_settings
from pipelines.demo.home import cleared
from pipelines.demo_org.life import live
from pipelines.demo_org.org import DemoOrg
from pipelines.demo_org.server import serving
from pipelines.recording.fleet import record_fleet_under_lock
from pipelines.recording.fleet_run import FleetRun

FLEET_DAYS: Final = 12
LOAD_EVERY: Final = timedelta(days=1)  # as often as it takes; make demo shows what more loads see
SILENT: Final = "emea"
SILENT_SINCE: Final = UNTIL - timedelta(days=4)  # when the app's secret was revoked
DETAILS_PER_RUN: Final = 30  # of some 350 that finish between two loads
KEYS: Final = ("instance_url", "client_id", "client_secret")


def demo_fleet(days: int, home: Path) -> int:
    """Records `days` of three demo orgs into a warehouse in `home`, and prints a summary."""
    orgs = demo_orgs(days)
    settings = demo_settings(home)
    with cleared(settings, *(org.org_id for org in orgs.values())), ExitStack() as served:
        for seed, org in enumerate(orgs.values()):
            served.enter_context(serving(org))
            live(org, until=UNTIL, seed=seed)
        print(f"Three demo orgs, {', '.join(orgs)}: {days} simulated days with one load of all three a day.")
        print(f"On {SILENT_SINCE:%d %B}, someone revokes the key of {SILENT}.")
        with Console(stderr=True).status("Starting …") as status:  # shows on a terminal only
            last, loads = _record(orgs, home, status.update)
    print(f"\nThe last of {loads} loads printed:")
    for name in last.names:
        failure = last.errors.get(name)
        print(f"  {name}: {' '.join(str(failure).split()) if failure else last.run(name).summary}")
    print(f"  {last}")
    warehouse = shown_path(settings.warehouse)
    command = f"{shlex.quote(shown_path(sys.executable))} -m pipelines.query_jobs"
    print(f"""
Next, try:
  {command} check --warehouse {shlex.quote(warehouse)}
  {command} report --warehouse {shlex.quote(warehouse)}
and with your own orgs, each under a name:
  {command} init --org NAME
  {command_for("load")}""")
    return 0


def demo_orgs(days: int) -> dict[str, DemoOrg]:
    """A production org, a sandbox, and another production org, by the names that the settings have for them."""
    begin = UNTIL - timedelta(days=days)
    orgs = {
        "production": DemoOrg(now=begin),
        "uat": DemoOrg(now=begin, seed=1, is_sandbox=True),
        SILENT: DemoOrg(now=begin, seed=2),
    }
    for name, org in orgs.items():
        org.name = {"production": "Demo Org", "uat": "Demo Org", SILENT: "Demo Org EMEA"}[name]
    return orgs


def _record(orgs: dict[str, DemoOrg], home: Path, on_load: Callable[[str], None]) -> tuple[FleetRun, int]:
    secrets = {"orgs": {name: {"credentials": {key: getattr(org, key) for key in KEYS}} for name, org in orgs.items()}}
    loads = 0
    with demo_home(home, secrets) as settings:
        first, *_ = orgs.values()
        while first.now < UNTIL:
            step = min(LOAD_EVERY if loads else FIRST_LOAD, UNTIL - first.now)
            for org in orgs.values():
                org.advance(step)
            if first.now >= SILENT_SINCE:
                orgs[SILENT].client_secret = "another"  # noqa: S105 - a demo's
            at_this_time = replace(settings, moment=first.now, details_per_run=DETAILS_PER_RUN)
            run = record_fleet_under_lock(at_this_time, read_orgs(), org_names())
            loads += 1
            changed = sum(run.run(name).jobs_changed for name in run.recorded)
            on_load(f"{first.now:%d %B, %H:%M} - load {loads}: {changed:,} changed")
    return run, loads
