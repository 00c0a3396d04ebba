#!/bin/bash -p
# Slurm epilog: takes the job's GPUs from it for nvidia_gpu_exporter, in /run/gpustat.
hook=epilog-jobstats
. "${BASH_SOURCE[0]%/*}/gpu-map.bash"
use gpustat
give_back
finish
exit 0
