"""Which primary database this is, even while another process has it locked, and which kept listings belong to it."""

from pipelines.config.settings import Settings
from pipelines.errors import ConfigError
from pipelines.recording.kept_listings import KeptListing, keep_of_version_0_1_0, waiting
from pipelines.tables import DATASET, LISTINGS
from pipelines.warehouse.file_identity import is_demo, new_identity, read_identity, refuse_demo, write_identity
from pipelines.warehouse.primary import PrimaryDatabase
from pipelines.warehouse.schema import stored_columns
from pipelines.warehouse.state_folder import StateFolder


def identity_while_held(state: StateFolder, settings: Settings) -> str:
    """The identity of a locked file. If none is known, a new one is noted, which the file gets when it is next
    opened."""
    identity = state.identity
    if not identity or state.is_provisional:
        identity = identity or state.note_identity(new_identity(demo=settings.demo), provisional=True)
        keep_of_version_0_1_0(state, identity)
    return identity


def identify(primary: PrimaryDatabase, state: StateFolder, settings: Settings) -> str:
    """The identity of the primary database; a file from a version that had no identities gets one."""
    identity = read_identity(primary.connection)
    if identity is None:
        adopted = state.identity if state.is_provisional and _may_be_of(primary, waiting(state)) else None
        identity = state.note_identity(adopted or new_identity(demo=settings.demo), provisional=True)
        keep_of_version_0_1_0(state, identity)
        write_identity(primary.connection, identity)
    if not settings.demo:
        refuse_demo(identity, primary.path)
    elif not is_demo(identity):
        raise ConfigError(
            f"{primary.path} is not a recording of the demo org: it has taken the place of the demo's file.",
            "Move it back to where it belongs, and begin the demo again.",
        )
    if state.is_provisional and state.identity != identity:  # the folder beside the file was lost, then the file locked
        known = _known_orgs(primary)
        for kept in waiting(state):
            if kept.identity == state.identity and kept.orgs & known:
                kept.give_to(identity)
    return state.note_identity(identity)


def _may_be_of(primary: PrimaryDatabase, kept: list[KeptListing]) -> bool:
    """Whether listings that were kept while a file without an identity was locked can belong to this one: they show an
    org that it knows, or it knows none."""
    known = _known_orgs(primary)
    return not known or not kept or any(known & listing.orgs for listing in kept)


def _known_orgs(primary: PrimaryDatabase) -> set[str]:
    if not stored_columns(primary.connection, LISTINGS):
        return set()
    return {org for (org,) in primary.connection.execute(f"select distinct org_id from {DATASET}.listings").fetchall()}
