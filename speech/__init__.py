"""Text becomes a voice, a recording becomes text, a question becomes an answer. Usable alone (`python -m speech --help`)."""
