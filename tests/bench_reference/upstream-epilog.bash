#!/bin/bash
# REFERENCE of scripts/bench --hooks, never deployed: an epilog in upstream's style, written from what peers C4 and E4 say
# of it. The loops of the prolog again, with one rm per file.
maps=$BENCH_RUN/gpustat
for list in "${GPU_DEVICE_ORDINAL-}" "${CUDA_VISIBLE_DEVICES-}"; do
    IFS=, read -r -a entries <<<"$list"
    for entry in "${entries[@]}"; do
        rm -f "$maps/$entry"
        [[ $entry == MIG* ]] && continue
        uuid=$(nvidia-smi -i "$entry" --query-gpu=uuid --format=csv,noheader)
        rm -f "$maps/$uuid"
    done
done
exit 0
