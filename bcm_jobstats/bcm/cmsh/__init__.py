"""BCM through cmsh, its command line shell (bcm-facts §1)."""
