"""SEES files arrive."""
