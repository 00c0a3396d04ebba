"""Enablement: which overlays, roles and services make the exporters run, and how they are written (design §3)."""
