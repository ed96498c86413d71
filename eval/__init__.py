"""How good a filmed mouth is: PSNR, SSIM and the mouth's own figures. `python -m eval --help`."""
