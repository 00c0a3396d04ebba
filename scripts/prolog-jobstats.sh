#!/bin/bash -p
# Slurm prolog: ties the job's GPUs to it for nvidia_gpu_exporter, in /run/gpustat.
hook=prolog-jobstats
. "${BASH_SOURCE[0]%/*}/gpu-map.bash"
use gpustat
take
finish
exit 0
