"""What is kept: request records in PostgreSQL, objects in S3."""
