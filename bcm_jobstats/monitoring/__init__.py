"""The monitoring side: targets and Prometheus."""
