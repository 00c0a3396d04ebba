"""Per-job CPU and GPU statistics as a property of an NVIDIA Base Command Manager role."""

__version__ = "0.1.0"
