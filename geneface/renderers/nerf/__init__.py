"""The renderer of the GeneFace paper (ICLR 2023) as in RAD-NeRF (Tang et al. 2022): a head in a radiance field over a
position grid and a 2-D grid of learned expression coordinates, and a torso in a field of the picture.
"""
