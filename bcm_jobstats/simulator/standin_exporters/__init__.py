"""SIMULATED exporters: stand-ins for the four exporters that a site supplies (peers C6, C7), and for nvidia-smi.

Run as ``python -I -S -B standin_exporters KIND [flags]``; unknown flags are accepted and ignored. What a page says of
jobs is real, read at every scrape: the control groups, the gpustat map (peers C4), dcgm-exporter's mapping directory.
The readings of GPUs are made up. ``standin_exporters nvidia-smi ROOT [arguments]`` tells of the same GPUs.

The directory is also copied into software images, whole, and started many times: so it imports nothing of the rest of
this package, names its own modules relative to itself, and imports little.
"""
