"""A published copy with chosen problems as of now, and `check --notify` on it, in this process."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from planted import DAY, HOUR, ORG, plant
from receivers import Web
from recorders import Recorder

from pipelines.command_line import command_line_parser
from pipelines.commands import COMMANDS
from pipelines.errors import RecorderError
from pipelines.warehouse.sealed_json import unseal

OTHER = "00DDm0000002000MAA"


def publish(recorder: Recorder, *objects: str, org: str = ORG, **tables: Sequence[dict[str, Any]]) -> None:
    """A copy with one finding for each of these objects: a job that has not ended."""
    now = datetime.now(UTC)
    jobs = [{"org_id": org, "object": name, "state": "InProgress", "created_date": now - 3 * DAY} for name in objects]
    names = {ORG: "Acme", org: "Acme" if org == ORG else "Umbrella"}
    orgs = [{"org_id": one, "name": name} for one, name in names.items()]
    listings = [{"org_id": one, "started_at": now - HOUR} for one in names]
    plant(recorder.warehouse, **{"query_jobs": jobs, "orgs": orgs, "listings": listings} | tables)


def notify(*arguments: str) -> tuple[int, str]:
    """The exit code, and what is said if it is not one of findings."""
    try:
        return COMMANDS["check"](command_line_parser().parse_args(["check", "--notify", *arguments])), ""
    except RecorderError as error:
        return error.exit_code, str(error)


def use_channels(monkeypatch: pytest.MonkeyPatch, *channels: Web | str) -> None:
    urls = [channel if isinstance(channel, str) else f"json://{channel.host}/" for channel in channels]
    monkeypatch.setenv("ALERTS__URLS", json.dumps(urls))


def state_of(recorder: Recorder) -> dict[str, Any]:
    return unseal((recorder.state_folder / "alerts.json").read_text())
