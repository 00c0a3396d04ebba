#!/bin/bash
# REFERENCE of scripts/bench --hooks, never deployed: a prolog in upstream's style, written from what peers C4 and E4 say
# of it. For every entry of GPU_DEVICE_ORDINAL, then of CUDA_VISIBLE_DEVICES: a file of that name, one nvidia-smi for the
# UUID, and a file of that name. No lock, no rename.
maps=$BENCH_RUN/gpustat
[[ -d $maps ]] || mkdir -m 755 "$maps"
for list in "${GPU_DEVICE_ORDINAL-}" "${CUDA_VISIBLE_DEVICES-}"; do
    IFS=, read -r -a entries <<<"$list"
    for entry in "${entries[@]}"; do
        echo "$SLURM_JOB_ID $SLURM_JOB_UID" >"$maps/$entry"
        [[ $entry == MIG* ]] && continue
        uuid=$(nvidia-smi -i "$entry" --query-gpu=uuid --format=csv,noheader)
        echo "$SLURM_JOB_ID $SLURM_JOB_UID" >"$maps/$uuid"
    done
done
exit 0
