"""Voices and conversations: a table, and a column that may be empty, so that version 0.1.0 works on this schema as well."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("requests", sa.Column("conversation", sa.Uuid(), nullable=True))
    # Not CONCURRENTLY, which takes no part in a transaction. No row is in it yet: the table is only read.
    op.create_index(
        "requests_conversation", "requests", ["conversation", "id"], postgresql_where=sa.text("conversation IS NOT NULL")
    )
    op.create_table(
        "voices",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=True),
        sa.Column("consent", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["request_id"], ["requests.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("owner", "name"),
    )
    op.create_index("voices_request", "voices", ["request_id"])


def downgrade() -> None:
    op.drop_table("voices")
    op.drop_index("requests_conversation", table_name="requests")
    op.drop_column("requests", "conversation")
