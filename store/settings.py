"""Where the database and the objects are; the programs' own settings build on these."""

import sys
from typing import TypeVar

from pydantic import AnyHttpUrl, Field, SecretStr, TypeAdapter, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

Chosen = TypeVar("Chosen", bound=BaseSettings)


def explain(error: ValidationError, prefix: str = "GENEFACE_") -> list[str]:
    """One line a wrong setting, by the name it has in the environment; never its value, which may be a secret."""
    return [f"{prefix}{'.'.join(map(str, item['loc'])).upper()}: {item['msg']}" for item in error.errors(include_input=False)]


def from_environment(kind: type[Chosen]) -> Chosen:
    """A program's settings; says on stderr what is wrong with them and ends the program with exit code 2."""
    try:
        return kind()
    except ValidationError as error:
        sys.stderr.write("".join(line + "\n" for line in explain(error)))
        raise SystemExit(2) from error


class DatabaseSettings(BaseSettings):
    """Settings of PostgreSQL. Environment prefix `GENEFACE_`."""

    model_config = SettingsConfigDict(env_prefix="GENEFACE_", extra="ignore")

    database_url: str = Field(description="PostgreSQL: postgresql://user:password@host:5432/name")

    @field_validator("database_url")
    @classmethod
    def _postgresql(cls, value: str) -> str:
        if not value.startswith(("postgresql://", "postgres://", "postgresql+psycopg://")):
            raise ValueError("must begin with postgresql://")
        value = value.replace("postgres://", "postgresql://", 1)
        try:
            make_url(value)
        except (ArgumentError, ValueError) as error:
            raise ValueError("must read like postgresql://user:password@host:5432/name") from error
        return value


class ObjectStoreSettings(BaseSettings):
    """Settings of S3. Environment prefix `GENEFACE_`."""

    model_config = SettingsConfigDict(env_prefix="GENEFACE_", extra="ignore")

    s3_endpoint: str = Field(description="S3 server as pods and the API reach it, e.g. http://minio:9000")
    s3_public_endpoint: str | None = Field(
        None, description="The same server as people's browsers reach it; default: the same name"
    )
    s3_region: str = Field("us-east-1", description="Region that links are signed for")
    s3_access_key: str = Field(description="Access key")
    s3_secret_key: str = Field(description="Secret key")
    s3_bucket: str = Field("geneface", description="The one bucket", min_length=3)

    @field_validator("s3_endpoint", "s3_public_endpoint")
    @classmethod
    def _http(cls, value: str | None) -> str | None:
        if value is not None:
            TypeAdapter(AnyHttpUrl).validate_python(value)
        return value


class StoreSettings(ObjectStoreSettings, DatabaseSettings):
    """Settings of PostgreSQL and S3, and the key that the programs share."""

    token_key: SecretStr = Field(description="Signs attempt tokens; the API and the controller share it", min_length=32)
    token_key_previous: SecretStr | None = Field(None, description="Still accepted while the key is being changed", min_length=32)

    @property
    def token_keys(self) -> list[str]:
        """The signing key first."""
        keys = (self.token_key, self.token_key_previous)
        return [key.get_secret_value() for key in keys if key is not None]
