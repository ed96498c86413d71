"""Audio to motion: the variational model with a flow prior, the post-net, and what drives a rendering."""
