"""What a destination refuses: the exit code, plain words with what to do, and neither password, host nor user."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg2
import pytest
from forwarder import Forwarder, differing
from postgres_server import Server, postgres_server

from pipelines.errors import AccessDenied, ConfigError, RecorderError, TemporaryError
from pipelines.warehouse.sealed_json import unseal

PASSWORD = "sup3r-secret/word"
QUOTED = "sup3r-secret%2Fword"


@pytest.fixture
def of_user(forwarder_of: Callable[..., Forwarder], postgres: Server, small: Path) -> Callable[..., Forwarder]:
    """A recorder that signs in as a user without any right, of a new name; `ask` and `grant` are the superuser's."""

    def make(name: str) -> Forwarder:
        postgres.execute(f"drop owned by {name}" if _exists(postgres, name) else f"create role {name} login")
        made = forwarder_of(user=name, recorder="emea")
        made.publish(small)
        return made

    return make


def _exists(server: Server, role: str) -> bool:
    return bool(server.execute(f"select 1 from pg_roles where rolname = '{role}'"))


def failure(forwarder: Forwarder, kind: type[RecorderError], **how: bool) -> str:
    """What a forward fails with: in this process, and without what must not be shown."""
    with pytest.raises(kind) as raised:
        forwarder.forward(**how)
    said = str(raised.value)
    assert type(raised.value) is kind
    assert "127.0.0.1" not in said
    return said


def test_a_stopped_server(forwarder_of: Callable[..., Forwarder], small: Path) -> None:
    with postgres_server() as server:
        forwarder = forwarder_of("stopped")
        forwarder.server, forwarder.database = server, server.new_database()
        forwarder.environment["DESTINATION__POSTGRES__CREDENTIALS"] = server.url(forwarder.database)
        forwarder.publish(small)
        server.stop()
        assert "cannot be reached" in failure(forwarder, TemporaryError)
        assert forwarder.run("--quiet") == (75, "")
        noted = forwarder.home / "loader.duckdb.state" / "failing.json"
        (name,) = unseal(noted.read_text())
        noted.write_text(json.dumps({name: (datetime.now(UTC) - timedelta(hours=7)).isoformat()}))
        code, said = forwarder.run("--quiet")
        assert (code, "(7 hours): " in said) == (69, True)
        server.start()

        assert "2 rows of 2 tables" in forwarder.run()[1]
        assert unseal(noted.read_text()) == {}

        server.stop()
        assert "nothing new" in forwarder.forward()  # no connection is needed


def test_a_wrong_password(of_user: Callable[..., Forwarder], postgres: Server) -> None:
    forwarder = of_user("forgetful")
    postgres.execute(f"alter role forgetful password '{PASSWORD}x'; grant asks_password to forgetful")
    forwarder.environment["DESTINATION__POSTGRES__CREDENTIALS"] = postgres.url(forwarder.database, "forgetful", QUOTED)

    said = failure(forwarder, AccessDenied)

    assert "refused the sign-in" in said
    assert "variable DESTINATION__POSTGRES__CREDENTIALS" in said
    for options in (("--quiet",), ("--verbose",)):
        code, said = forwarder.run(*options)
        assert code == 77
        for secret in (PASSWORD, QUOTED, "127.0.0.1"):
            assert secret not in said
    kept = [file for file in forwarder.home.rglob("*") if file.is_file()]
    assert kept
    assert [file for file in kept if any(secret.encode() in file.read_bytes() for secret in (PASSWORD, QUOTED))] == []


@pytest.mark.parametrize("mode", ["require", "verify-full", "requires"])
def test_a_server_without_tls(forwarder_of: Callable[..., Forwarder], small: Path, mode: str) -> None:
    """The next forward would fail in the same way, so it is not a temporary failure."""
    forwarder = forwarder_of()
    forwarder.publish(small)
    forwarder.environment["DESTINATION__POSTGRES__CREDENTIALS"] += f"?sslmode={mode}"

    said = failure(forwarder, ConfigError)

    assert "cannot be reached with these TLS settings" in said
    assert "Correct `sslmode` and `sslrootcert` under [destination.postgres.credentials.query]" in said


@pytest.mark.parametrize("password", ["p@qzx", "p@qzx/1", "1@2@3"])
def test_an_at_sign_in_a_url_that_is_not_written_as_40(
    forwarder_of: Callable[..., Forwarder], small: Path, password: str
) -> None:
    """The rest of such a password would be asked for as the name of a host, for ever."""
    forwarder = forwarder_of()
    forwarder.publish(small)
    url = forwarder.server.url(forwarder.database, password=password)
    forwarder.environment["DESTINATION__POSTGRES__CREDENTIALS"] = url

    said = failure(forwarder, ConfigError)

    assert "write @ as %40" in said
    assert "variable DESTINATION__POSTGRES__CREDENTIALS" in said
    assert [part for part in password.split("@") if len(part) > 1 and part in said] == []


def test_a_missing_database(forwarder_of: Callable[..., Forwarder], postgres: Server, small: Path) -> None:
    forwarder = forwarder_of()
    forwarder.publish(small)
    forwarder.environment["DESTINATION__POSTGRES__CREDENTIALS"] = postgres.url("no_such_database")

    assert "create database no_such_database" in failure(forwarder, ConfigError)


def test_a_user_without_the_right_to_create_schemas(of_user: Callable[..., Forwarder]) -> None:
    forwarder = of_user("guest")

    said = failure(forwarder, AccessDenied)

    assert f"grant create on database {forwarder.database} to <user>;" in said
    forwarder.ask(f"grant create on database {forwarder.database} to guest")
    assert "2 rows" in forwarder.forward()


def test_with_both_schemas_made_for_it_a_user_needs_no_right_on_the_database(of_user: Callable[..., Forwarder]) -> None:
    forwarder = of_user("lodger")
    said = failure(forwarder, AccessDenied)
    schemas = said.partition("or create both schemas for it: ")[2].partition(" (")[0]

    forwarder.ask(schemas.replace("<user>", "lodger"))

    assert "2 rows" in forwarder.forward()
    assert differing(forwarder.here(), forwarder.there()) == {}


def test_after_init_a_user_need_not_create_anything(of_user: Callable[..., Forwarder]) -> None:
    """Administrators like to take that right away again; the tables stay its own."""
    forwarder = of_user("tenant")
    forwarder.ask(f"grant create on database {forwarder.database} to tenant")
    forwarder.forward(init=True)
    forwarder.ask(f"revoke create on database {forwarder.database} from tenant")
    forwarder.ask("alter schema salesforce owner to current_user; grant usage on schema salesforce to tenant")

    assert "2 rows" in forwarder.forward()
    assert differing(forwarder.here(), forwarder.there()) == {}


def test_tables_of_another_owner(
    of_user: Callable[..., Forwarder], forwarder_of: Callable[..., Forwarder], small: Path
) -> None:
    owner = forwarder_of("owner", recorder="first")
    owner.publish(small)
    owner.forward()
    forwarder = of_user("stranger")
    forwarder.ask(f"grant create on database {forwarder.database} to stranger")

    assert "on schema salesforce to <user>" in failure(forwarder, AccessDenied)
    forwarder.ask("grant usage, create on schema salesforce to stranger")
    said = failure(forwarder, AccessDenied)
    assert "sign in as one user" in said


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("postgresql://127.0.0.1:5432/analytics", "password"),
        ("not a URL", "cannot be read"),
        ("{}", "cannot be read"),
        ("", "lacks settings of the destination postgres"),
    ],
)
def test_half_a_set_of_credentials(forwarder_of: Callable[..., Forwarder], small: Path, given: str, words: str) -> None:
    forwarder = forwarder_of()
    forwarder.publish(small)
    forwarder.environment["DESTINATION__POSTGRES__CREDENTIALS"] = given
    if not given:
        del forwarder.environment["DESTINATION__POSTGRES__CREDENTIALS"]

    assert words in failure(forwarder, ConfigError)


def test_without_the_driver(forwarder_of: Callable[..., Forwarder], small: Path, tmp_path: Path) -> None:
    """A module in its place that says what Python says of a missing one."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "psycopg2.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'psycopg2'\", name='psycopg2')"
    )
    forwarder = forwarder_of()
    forwarder.publish(small)
    forwarder.environment["PYTHONPATH"] = str(tmp_path / "modules")

    code, said = forwarder.run()
    assert (code, said.partition(" ERROR: ")[2]) == (
        78, "A package for the destination postgres is not installed. Install it: make setup-postgres\n"
    )  # fmt: skip
    assert not (forwarder.sent / "warehouse.duckdb").exists()
    code, said = forwarder.run("--dry-run")  # needs no connection
    assert (code, "query_jobs" in said) == (0, True), said
    del forwarder.environment["PYTHONPATH"]
    assert "2 rows" in forwarder.forward()


def test_credentials_of_several_keys(forwarder_of: Callable[..., Forwarder], postgres: Server, small: Path) -> None:
    """In secrets.toml, with no password that the server would ask for; nothing of another destination is read."""
    forwarder = forwarder_of()
    forwarder.publish(small)
    del forwarder.environment["DESTINATION__POSTGRES__CREDENTIALS"]
    (forwarder.home / ".dlt" / "secrets.toml").write_text(
        f'[destination.postgres.credentials]\nhost = "127.0.0.1"\nport = {postgres.port}\nusername = "postgres"\n'
        f'database = "{forwarder.database}"\n[destination.postgres.credentials.query]\nsslmode = "prefer"\n'
        '[destination.credentials]\npassword = "elsewhere"\n[credentials]\npassword = "elsewhere"\n'
    )
    said = failure(forwarder, ConfigError)
    assert "lacks settings of the destination postgres: password" in said
    assert "any text will do" in said
    forwarder.environment["DESTINATION__POSTGRES__CREDENTIALS__PASSWORD"] = "any"

    assert "2 rows" in forwarder.forward()


def test_a_server_in_the_middle_of_its_work(forwarder: Forwarder) -> None:
    """Rows that the server refuses: nothing counts as sent, and the next forward sends all."""
    forwarder.forward(init=True)
    forwarder.ask("alter table salesforce.query_jobs add constraint narrow check (length(state) < 3)")
    with pytest.raises(RecorderError):
        forwarder.forward()
    assert not (forwarder.sent / "warehouse.duckdb").exists()
    with pytest.raises(psycopg2.Error):
        forwarder.ask("insert into salesforce.query_jobs (org_id, id, state) values ('x', 'y', 'Open')")
    forwarder.ask("alter table salesforce.query_jobs drop constraint narrow")

    forwarder.forward()

    assert differing(forwarder.here(), forwarder.there()) == {}
