"""The embedded default: PostgreSQL, S3, API and controller as one program on one machine."""
