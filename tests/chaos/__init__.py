"""Many processes work on one ledger and one engine while they are killed and everything breaks.

`python -m tests.chaos --kills 1000 --seed 7` (or `make chaos`). Afterwards nothing may have been
given twice, leaked or forgotten; the exit status says so and a table counts it.
"""
