"""The queue for slots, when a turn may come, and why something cannot be had now."""
