"""The lab: a simulated BCM whose nodes are systemd containers booted from software images, with real Slurm."""
