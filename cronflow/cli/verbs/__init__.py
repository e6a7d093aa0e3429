"""A verb a module: parse, call, render."""
