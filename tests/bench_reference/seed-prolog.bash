#!/bin/bash
# REFERENCE of scripts/bench --hooks, never deployed: a prolog in the style of seed 2, written from what peers A2c 2.25,
# B2 and E4 say of it. A dated line of a log per step, the job id appended to one file per GPU; no lock. It starts no more
# processes than E4 counted in the seed's own.
set -e
maps=$BENCH_RUN/dcgm-job-map log=$BENCH_RUN/log/dcgm-prolog.log
mkdir -p "$maps"
mkdir -p "${log%/*}"

note() {
    echo "$(date '+%F %T') job $SLURM_JOB_ID: $*" >>"$log"
}

list=${CUDA_VISIBLE_DEVICES:-${SLURM_JOB_GPUS:-${SLURM_STEP_GPUS-}}}
note "prolog starts, GPUs: ${list:-none}"
IFS=, read -r -a parts <<<"$list"
for part in "${parts[@]}"; do
    for ((gpu = ${part%-*}; gpu <= ${part#*-}; gpu++)); do
        echo "$SLURM_JOB_ID" >>"$maps/$gpu"
        note "has GPU $gpu"
    done
done
note "prolog ends"
exit 0
