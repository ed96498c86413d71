"""Pages of requests by state: indexes alone, so that version 0.1.0 works on this schema as well."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Not CONCURRENTLY, which takes no part in a transaction: a million requests wait about 5 s for their writes.
    op.create_index("requests_state_page", "requests", ["owner", "state", sa.literal_column("id DESC")], unique=False)
    op.create_index(
        "requests_kind_state_page", "requests", ["owner", "kind", "state", sa.literal_column("id DESC")], unique=False
    )


def downgrade() -> None:
    op.drop_index("requests_kind_state_page", table_name="requests")
    op.drop_index("requests_state_page", table_name="requests")
