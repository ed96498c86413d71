"""The method: a person's video becomes a model that speaks. Three stages as in GeneFace, usable alone (`python -m geneface
--help`).
"""
