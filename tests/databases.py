"""Databases for tests."""

import psycopg
from sqlalchemy import make_url


def create_database(server: str, name: str, template: str = "template0") -> str:
    """Makes a database on `server` and returns its URL."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    return make_url(server).set(database=name).render_as_string(hide_password=False)
