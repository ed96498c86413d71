"""Gaussians (Kerbl et al. 2023, "3D Gaussian Splatting") that hang on the person's own mesh of landmarks."""
