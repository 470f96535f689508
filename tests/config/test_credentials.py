"""Credentials: incomplete, duplicate or misplaced ones are named, and never quoted."""

import json

import pytest
from recorders import Recorder

from pipelines.config.settings import read_credentials
from pipelines.demo_org.org import DemoOrg
from pipelines.errors import ConfigError
from pipelines.salesforce.org import Org

HALF_GIVEN = [
    ({}, "No Salesforce credentials", "Enter them with make init, "),
    ({}, "No Salesforce credentials", "make demo"),
    ({"client_id": "abc"}, "It has client_id. Missing: client_secret, instance_url.", "client credentials"),
    ({"client_id": "abc", "username": "u"}, "Missing: instance_url, private_key.", "JWT bearer"),
    ({"instance_url": "x.my.salesforce.com"}, "It has instance_url.", "client credentials"),
    (
        {"instance_url": "x.my.salesforce.com", "client_secret": "s3cret"},
        "Missing: client_id.",
        "client credentials",
    ),
    ({"sf_cli_org": "o", "instance_url": "x.my.salesforce.com", "access_token": "s3cret"}, "ambiguous", "one method"),
    ({"sf_cli_org": "o", "client_id": "abc"}, "also client_id", "one method"),
    ({"instance_url": "http://x.my.salesforce.com", "access_token": "s3cret"}, "https://", "Example"),
    (
        {"instance_url": "https://x.lightning.force.com", "access_token": "s3cret"},
        "does not serve the API",
        "My Domain",
    ),
    ({"instance_url": "https://login.salesforce.com", "access_token": "s3cret"}, "does not serve the API", "My Domain"),
    (
        {"instance_url": "x.my.salesforce.com", "access_token": "[REDACTED] Use 'sf org"},
        "[REDACTED]",
        "show-access-token",
    ),
]


@pytest.mark.parametrize(("keys", "said", "remedy"), HALF_GIVEN)
def test_incomplete_credentials_are_named_before_any_request(org: DemoOrg, give, keys, said, remedy) -> None:
    """Which keys are set, which are missing, and where they go."""
    give(**keys)
    with pytest.raises(ConfigError) as raised:
        read_credentials()

    assert said in raised.value.message
    assert remedy in raised.value.remedy
    assert ("Put them into" in raised.value.remedy) == said.startswith(("No ", "It has", "Missing"))
    assert "s3cret" not in str(raised.value)
    assert not org.requests


def test_one_variable_may_hold_all_keys(org: DemoOrg, give, monkeypatch) -> None:
    """As a JSON object."""
    give()
    keys = {"instance_url": org.instance_url, "client_id": org.client_id, "client_secret": org.client_secret}
    monkeypatch.setenv("SOURCES__SALESFORCE__CREDENTIALS", json.dumps(keys))

    assert Org(read_credentials()).org_id == org.org_id


@pytest.mark.parametrize("given", ["s3cret", '["s3cret"]', '{"token": "s3cret"}', '"s3cret"', "7"])
def test_one_variable_with_anything_else_is_reported(give, monkeypatch, given: str) -> None:
    """Without its content."""
    give()
    monkeypatch.setenv("SOURCES__SALESFORCE__CREDENTIALS", given)
    with pytest.raises(ConfigError, match="JSON object with keys of instance_url, access_token") as raised:
        read_credentials()

    assert "(variable SOURCES__SALESFORCE__CREDENTIALS)" in raised.value.message
    assert "s3cret" not in str(raised.value)


def test_a_line_break_after_a_secret_does_no_harm(org: DemoOrg, give) -> None:
    """Files and heredocs end with one."""
    give(instance_url=org.instance_url + "\n", access_token=org.access_token + "\n")

    assert Org(read_credentials()).org_id == org.org_id


@pytest.mark.parametrize("token", ["s3cret\nwith a break", "s3cr\u00e9t", "s3cret\x07"])
def test_an_invalid_token_is_refused_and_not_quoted(org: DemoOrg, recorder: Recorder, give, token) -> None:
    """The HTTP library would quote it in its own error."""
    give(instance_url=org.instance_url, access_token=token)
    run = recorder.run()

    assert run.returncode == 77
    assert "s3cr" not in run.stderr + run.stdout


@pytest.mark.parametrize(
    "url",
    [
        "https://[bad",
        "https://x.example:99999",
        "https://bob:s3cret@[x",
        "https://00Dxx!s3cret",
        "//",
        "s3cret@x y",
        "s3cret" + "0A" * 32,
    ],
)
def test_an_invalid_address_is_refused_and_no_secret_in_it_quoted(give, url) -> None:
    """It may contain a password or a token by mistake."""
    give(instance_url=url, access_token="x")
    with pytest.raises(ConfigError, match="must be an https:// address") as raised:
        read_credentials()

    assert "s3cret" not in str(raised.value)


def test_common_environment_variables_are_not_credentials(org: DemoOrg, give, monkeypatch) -> None:
    """USERNAME is set on many machines, and is not a Salesforce user."""
    give(instance_url=org.instance_url, access_token="s3cret")
    monkeypatch.setenv("USERNAME", "somebody")

    assert read_credentials().method == "access token"
