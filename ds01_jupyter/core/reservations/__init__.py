"""Slots that are promised to somebody from a start to an end."""
