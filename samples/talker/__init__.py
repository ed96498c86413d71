"""A person who does not exist, filmed: everything here is made by rule from a text and a fixed seed."""
