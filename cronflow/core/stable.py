"""Numbers that look drawn by lot and depend on nothing but a text: delays that differ from job to job and stay the same."""

from __future__ import annotations


def stable_fraction(text: str) -> float:
    """A number in [0, 1) that depends on nothing but the text (FNV-1a, 32 bits, with a final mix)."""
    value = 2166136261
    for byte in text.encode():
        value = ((value ^ byte) * 16777619) & 0xFFFFFFFF
    value = ((value ^ (value >> 15)) * 0x2C1B3C6D) & 0xFFFFFFFF
    return float((value ^ (value >> 12)) & 0xFFFFFFFF) / 4294967296.0
