"""The orgs that a run records: signed in to, side by side, before any of them is listed."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Final

import duckdb

from pipelines.config.orgs import ConfiguredOrg
from pipelines.errors import ConfigError, RecorderError, disk_full_error, exception_chain, unwrap_error
from pipelines.interrupts import causing_signal
from pipelines.org_log import for_org, for_same_org
from pipelines.recording.merging import DOES_NOT_FIT
from pipelines.salesforce.org import Org
from pipelines.warehouse.damage import is_damage

SIGN_INS_AT_ONCE: Final = 32  # they hold nothing but a connection
# Seconds in which all orgs can sign in before the first is listed: none may be the same as another. One that takes
# longer, as a host that does not answer does, is compared with the others when it has.
SIGN_IN_PATIENCE: Final = 15.0


def is_the_orgs(error: Exception) -> bool:
    """Whether only this org's recording fails by it: its key, its host, its answers. Anything that may be the file's
    ends the run."""
    chain = list(exception_chain(error))
    if causing_signal(chain) or is_damage(error) or any(map(disk_full_error, chain)):
        return False
    if unwrap_error(error) or any(isinstance(one, DOES_NOT_FIT) for one in chain):
        return True
    return not any(isinstance(one, (duckdb.Error, OSError, MemoryError)) for one in chain)


class OrgsOfRun:
    """The orgs by name: all that can be asked, those that are signed in to, and why others are not."""

    def __init__(self, configured: Sequence[ConfiguredOrg], clock_tolerance_hours: float) -> None:
        self.orgs: dict[str, Org] = {}
        self.signed_in: dict[str, Org] = {}
        self.failures: dict[str, Exception] = {}
        for one in configured:
            source = one.source
            try:
                self.orgs[one.name] = Org(
                    one.usable_credentials, source.api_version, source.api_budget_percent, clock_tolerance_hours
                )
            except RecorderError as problem:
                self.failures[one.name] = problem

    def sign_in(self) -> dict[str, Future[str]]:
        """Signs in to all of them; returns those that are still waiting for an answer. Raises ConfigError if two names
        are one org."""
        pool = ThreadPoolExecutor(SIGN_INS_AT_ONCE, "sign-in")
        answers: dict[str, Future[str]] = {}
        for name, org in self.orgs.items():
            with for_org(name):
                answers[name] = pool.submit(for_same_org(_signed_in), org)
        try:
            late = wait(answers.values(), timeout=SIGN_IN_PATIENCE).not_done
        finally:
            pool.shutdown(wait=False)
        for name, answer in answers.items():
            if answer in late:
                continue
            error = answer.exception()
            if error is None:
                self.claim(name)
            elif isinstance(error, Exception) and is_the_orgs(error):
                self.failures[name] = error
            else:
                raise error
        return {name: answer for name, answer in answers.items() if answer in late}

    def claim(self, name: str) -> None:
        """Takes an org as signed in to. Raises ConfigError if it is one that has another name, too."""
        org = self.orgs[name]
        for other, known in self.signed_in.items():
            if known.org_id == org.org_id:
                raise ConfigError(
                    f"[orgs.{other}] and [orgs.{name}] are the same org, {org.org_id}.",
                    "Remove one of them, or correct its credentials.",
                )
        self.signed_in[name] = org


def _signed_in(org: Org) -> str:
    org_id = org.org_id
    org.check_clock()
    return org_id
