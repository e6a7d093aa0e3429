"""Edges between flows: whose ends are new, which belong together, which slots wait for them."""
