"""Anybody's motion: the variational model with a flow prior of GeneFace, trained on many speakers, and the small priors that are
shipped.
"""
