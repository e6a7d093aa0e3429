"""Slots: which are due, missed, caught up, left out."""
