#!/bin/bash -p
# Slurm epilog: takes the job's GPUs from it for dcgm-exporter, in /run/dcgm-job-map.
hook=epilog-dcgm
. "${BASH_SOURCE[0]%/*}/gpu-map.bash"
use dcgm-job-map
give_back
finish
exit 0
