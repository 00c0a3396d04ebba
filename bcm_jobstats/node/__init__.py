"""What runs on a node in enable.mode role-monitor: the agent of seed 4. Of the rest of the package it uses errors
alone, and of Python what comes with it, so that it travels as one file and needs nothing installed."""
