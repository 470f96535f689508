"""`POST /_control/<method>`: the control methods for whoever runs the demo org as a process of its own.

The arguments come as one JSON object, the result goes back as {"result": …}. Apart from the imitated API:
nothing here needs a session, counts as a call, or is logged.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import orjson

from pipelines.demo_org.answers import Answer, Asked, answer
from pipelines.demo_org.org import DemoOrg
from pipelines.demo_org.uploads import run_load


def _advance(org: DemoOrg, **by: float) -> None:
    org.advance(timedelta(**by))


def _refuse_value(org: DemoOrg, name: str, value: str, error: str) -> None:
    with org.lock:
        org.rules.refuse_value(name, value, error)


METHODS: dict[str, Callable[..., Any]] = {
    "add_job": DemoOrg.add_job,
    "move_job": DemoOrg.move_job,
    "edit_job": DemoOrg.edit_job,
    "delete_job": DemoOrg.delete_job,
    "add_raw": DemoOrg.add_raw,
    "fail_records": DemoOrg.fail_records,
    "succeed_records": DemoOrg.succeed_records,
    "leave_unprocessed": DemoOrg.leave_unprocessed,
    "refuse_results": DemoOrg.refuse_results,
    "refuse_value": _refuse_value,
    "run_load": run_load,
    "add_batch": DemoOrg.add_batch,
    "move_batch": DemoOrg.move_batch,
    "add_user": DemoOrg.add_user,
    "expire_sessions": DemoOrg.expire_sessions,
    "renew_access_token": DemoOrg.renew_access_token,
    "lose_locators": DemoOrg.lose_locators,
    "fail_next": DemoOrg.fail_next,
    "stall_next": DemoOrg.stall_next,
    "cut_next": DemoOrg.cut_next,
    "stream_next": DemoOrg.stream_next,
    "advance": _advance,
}


def control(org: DemoOrg, asked: Asked) -> Answer:
    """Call a control method; GET lists them. 404: no such method. 400: the arguments do not fit, and why."""
    name = asked.path.removeprefix("/_control").strip("/")
    if asked.method == "GET" and not name:
        return answer(200, {"methods": list(METHODS), "now": org.now, "jobs": len(org.jobs)})
    method = METHODS.get(name)
    if asked.method != "POST" or method is None:
        return answer(404, {"error": f"POST /_control/<method>, with one of: {', '.join(METHODS)}"})
    try:
        arguments = orjson.loads(asked.body or b"{}")
        if not isinstance(arguments, dict):
            raise TypeError("the arguments must be one JSON object")
        return answer(200, {"result": method(org, **arguments)})
    except (KeyError, TypeError, ValueError) as error:
        return answer(400, {"error": str(error.args[0]) if error.args else type(error).__name__})
