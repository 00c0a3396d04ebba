#!/bin/bash -p
# Slurm prolog: ties the job's GPUs to it for dcgm-exporter, in /run/dcgm-job-map.
hook=prolog-dcgm
. "${BASH_SOURCE[0]%/*}/gpu-map.bash"
use dcgm-job-map
take
finish
exit 0
