"""How long containers run, idle and wait, and what is done about it in good time."""
