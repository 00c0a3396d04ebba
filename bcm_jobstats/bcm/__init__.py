"""The way to BCM: typed entities, one Protocol, its adapters, and what is not confirmed about BCM."""
