"""Figures that are promised, measured side by side in one run: `python -m benchmarks`."""
