"""A recorder of several demo orgs, configured as `[orgs.NAME]`."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from recorders import KEYS, NOON, Recorder

from pipelines.config.dlt_context import use_project
from pipelines.config.orgs import org_names, read_orgs
from pipelines.config.settings import read_settings
from pipelines.demo_org.org import DemoOrg
from pipelines.demo_org.server import serving
from pipelines.recording.fleet import record_fleet
from pipelines.recording.fleet_run import FleetRun

NAMES = ("prod", "uat", "dev")


@dataclass
class Fleet:
    """Orgs by name, and one recorder for all of them."""

    recorder: Recorder
    orgs: dict[str, DemoOrg]

    def configure(self, **keys: dict[str, str]) -> None:
        """Writes the orgs' credentials to secrets.toml; `keys` replaces some of an org's."""
        lines = []
        for name, org in self.orgs.items():
            own = {"instance_url": org.instance_url, "client_id": org.client_id, "client_secret": org.client_secret}
            lines += [f"[orgs.{name}.credentials]", *(f'{k} = "{v}"' for k, v in (own | keys.get(name, {})).items())]
        self.write("secrets.toml", *lines)

    def write(self, name: str, *lines: str) -> None:
        file = self.recorder.home / ".dlt" / name
        file.write_text("\n".join(lines) + "\n")
        file.chmod(0o600)
        use_project()

    def load(self, *wanted: str) -> FleetRun:
        """One run in this process."""
        return record_fleet(read_settings(), read_orgs(wanted), org_names())

    def listed(self) -> dict[str | None, int]:
        """configured name -> complete listings that are published."""
        return dict(
            self.recorder.rows(
                "select configured_name, count(*) from listings left join orgs using (org_id) group by all"
            )
        )


@pytest.fixture(name="fleet")
def fleet_fixture(recorder_of: Callable[..., Recorder], monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    """Three orgs with different ids, of one job each."""
    with ExitStack() as served:
        orgs = {}
        for number, name in enumerate(NAMES):
            orgs[name] = DemoOrg(now=NOON, seed=number)
            served.enter_context(serving(orgs[name]))
            orgs[name].add_job()
        made = Fleet(recorder_of(orgs["prod"]), orgs)
        for variable in [variable for variable in os.environ if variable.startswith(KEYS)]:
            monkeypatch.delenv(variable)
        made.configure()
        yield made
