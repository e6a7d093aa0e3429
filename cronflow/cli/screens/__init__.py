"""Pure: data → text. Nothing here reads a file, a clock or a database."""
