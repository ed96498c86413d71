"""Brings a database to this version's schema. `python -m store.migrate` does it for GENEFACE_DATABASE_URL."""

import sys
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from store.database import AWAY, Database
from store.errors import SchemaNewerError
from store.logs import first_line
from store.settings import DatabaseSettings, from_environment

FOLDER = Path(__file__).parent / "migrations"
_LOCK = 0x67656E6566616365
"""PostgreSQL advisory lock, so that several programs that start at once migrate one after the other ("geneface")."""


def upgrade(database: Database) -> None:
    """Applies what is missing, in one transaction. Raises SchemaNewerError for a schema that this version does not know."""
    with database.unhurried() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        config = _config(connection)
        _check(connection)
        command.upgrade(config, "head")


def current(database: Database) -> str | None:
    """The revision that the database is at; None: it is empty."""
    with database.engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def head() -> str:
    """The revision that this version needs."""
    return ScriptDirectory(str(FOLDER)).get_current_head() or ""


def missing(database: Database) -> str | None:
    """What the schema lacks for this version, in words; None: nothing. One that only a newer version knows serves as well."""
    found, wanted = current(database), head()
    if found == wanted or (found is not None and found not in _known()):
        return None
    return f"the schema is {found or 'empty'}, not yet {wanted}"


def revise(database: Database, message: str) -> None:
    """Writes a new migration: the difference between the models and the database."""
    with database.engine.begin() as connection:
        command.revision(_config(connection), message, autogenerate=True)


def _check(connection: Connection) -> None:
    present = MigrationContext.configure(connection).get_current_revision()
    if present is not None and present not in _known():
        raise SchemaNewerError(f"the database's schema is {present}, which this version does not know: use a newer version")


def _known() -> set[str]:
    return {script.revision for script in ScriptDirectory(str(FOLDER)).walk_revisions()}


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    config.attributes["connection"] = connection
    return config


def main() -> int:
    """Exit code 1 when it could not be done, 2 for a wrong setting."""
    database = Database(from_environment(DatabaseSettings).database_url)
    try:
        upgrade(database)
    except (*AWAY, SchemaNewerError) as error:
        sys.stderr.write(f"{first_line(error)}\n")
        return 1
    finally:
        database.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
