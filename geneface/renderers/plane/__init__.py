"""The default renderer: the lower face, drawn in canonical planes and pasted on the source frame."""
