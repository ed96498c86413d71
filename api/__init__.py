"""What comes in: REST under /v1, uploads, downloads, and the workers' door."""
