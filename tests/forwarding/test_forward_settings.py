"""`[forward]` and the destination's own keys: what is wrong is said before anything is read or sent."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from forwarder import Forwarder

from pipelines.config.dlt_context import active, use_project
from pipelines.config.settings import read_settings
from pipelines.diagnosis.ignored_settings import ignored_settings
from pipelines.diagnosis.misspelt_settings import misspelt_settings
from pipelines.errors import AccessDenied, ConfigError, TemporaryError
from pipelines.forwarding.examination import examine
from pipelines.forwarding.settings import read_forward_settings

DOCS = Path(__file__).parents[2] / "docs" / "company-warehouse.md"


@pytest.fixture
def configured(forwarder_of: Callable[..., Forwarder], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Forwarder]:
    """A forwarder whose settings are those of this process."""

    def make(config: str = "", **variables: str) -> Forwarder:
        made = forwarder_of()
        (made.home / ".dlt" / "config.toml").write_text(f"[query_jobs]\n{config}")
        for name, value in (made.environment | variables).items():
            monkeypatch.setenv(name, value)
        use_project()
        return made

    return make


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("DESTINATION", "postgress", "must be one of dlt's destinations: .*postgres"),
        ("DESTINATION", "duckdb", "motherduck or ducklake"),
        ("DESTINATION", "weaviate", "must be one of"),
        ("DATASET", "Sales Force", "lower-case letters"),
        ("DATASET", "a__b", "single underscores"),
        ("DATASET", "x" * 31, "at most 30"),
        ("RECORDER", "é;", "at most 100 letters"),
        ("TABLE_FORMAT", "delta", "with destination filesystem"),
        ("VIEWS", "perhaps", "not true or false"),
    ],
)
def test_a_wrong_setting_is_named_with_its_place(
    configured: Callable[..., Forwarder], key: str, value: str, words: str
) -> None:
    configured(**{f"FORWARD__{key}": value})

    with pytest.raises(ConfigError, match=words) as raised:
        read_forward_settings()

    assert f"FORWARD__{key}" in str(raised.value)


def test_without_a_destination_there_is_nothing_to_do(configured: Callable[..., Forwarder]) -> None:
    configured(FORWARD__DESTINATION="")

    assert read_forward_settings() is None


def test_misspelt_settings_are_told(configured: Callable[..., Forwarder]) -> None:
    configured(
        '[forward]\ndestination = "postgres"\nrecoder = "emea"\n[destination.postgres]\ncreate_indexes = false\n'
    )

    (problem,) = misspelt_settings()

    assert str(problem) == "`forward.recoder` in .dlt/config.toml is an unknown setting.\nDid you mean recorder?"


def test_only_the_destination_of_forward_reaches_dlt(configured: Callable[..., Forwarder]) -> None:
    configured(DESTINATION__SNOWFLAKE__CREDENTIALS="another program's")
    provider = active().initial_providers()[0]
    name = ("destination", "postgres")
    assert provider.get_value("credentials", str, "", *name)[0] is None
    read_forward_settings()

    assert provider.get_value("credentials", str, "", *name)[0] == os.environ["DESTINATION__POSTGRES__CREDENTIALS"]
    assert provider.get_value("credentials", str, "", "destination", "snowflake")[0] is None
    assert provider.get_value("credentials", str, "", "destination", "duckdb")[0] is None
    ignored = ignored_settings()
    assert "DESTINATION__SNOWFLAKE__CREDENTIALS" in ignored
    assert "DESTINATION__POSTGRES__CREDENTIALS" not in ignored


def test_a_secret_in_the_wrong_file_is_told(
    configured: Callable[..., Forwarder], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = configured(
        '[destination.postgres.credentials]\npassword = "not here"\nhost = "x"\ndatabase = "x"\nusername = "x"\n'
    )
    monkeypatch.delenv("DESTINATION__POSTGRES__CREDENTIALS")
    del one.environment["DESTINATION__POSTGRES__CREDENTIALS"]
    one.published.write_bytes(b"x")

    with pytest.raises(ConfigError, match=r"Move it to .*secrets\.toml"):
        one.forward()


def examined() -> str:
    forwarding = read_forward_settings()
    assert forwarding
    return examine(read_settings(), forwarding)


def test_the_doctor_tries_the_destination(
    configured: Callable[..., Forwarder], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = configured()
    assert examined().startswith("Postgres 1")
    assert one.ask("select count(*) from pg_namespace where nspname like 'salesforce%'") == [(0,)]

    one.server.execute("drop role if exists examined; create role examined login")
    monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", one.server.url(one.database, "examined"))
    with pytest.raises(AccessDenied, match=f"grant create on database {one.database} to <user>;"):
        examined()

    monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", "postgresql://nobody:secret@127.0.0.1:1/none")
    with pytest.raises(TemporaryError, match="cannot be reached") as raised:
        examined()
    assert "nobody" not in str(raised.value)
    assert "secret@" not in str(raised.value)


def test_the_page_names_the_settings_that_there_are() -> None:
    text = DOCS.read_text()

    for key in ("destination", "dataset", "recorder", "views"):
        assert f"{key} = " in text
    for option in ("--dry-run", "--init", "--full", "--take-over"):
        assert f"forward {option}" in text
