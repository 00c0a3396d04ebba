"""BCM through pythoncm, the Python library of a head node (bcm-facts §7)."""
