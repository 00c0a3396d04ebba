"""The questions about BCM that only a real head node can answer, asked read-only (bcm-facts §13)."""
