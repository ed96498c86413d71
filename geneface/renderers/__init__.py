"""Motion to pixels: renderers behind one protocol."""
