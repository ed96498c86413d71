"""The method: a person's video becomes a model that speaks. Three stages as in GeneFace, usable alone (`python -m geneface
--help`).
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
"""torch's threads sleep while they wait for each other: spinning beside other programs trains up to ten times slower. Read when
torch is first imported.
"""
