# shellcheck shell=bash
# Which job holds which GPU of this node: what the prologs, the epilogs and the sweeper of jobstats share.
#
# Exporters read a file per GPU: $run/gpustat/<key> says `<job> <uid>`, $run/dcgm-job-map/<key> a job id a line. Both are
# made from a log per GPU, $run/bcm-jobstats/<map>/<key>: `<job> <uid>` when a job takes the GPU, `-<job>` when it gives
# it back. A log is appended to or emptied, each in one call to the kernel, under a lock that the kernel frees when its
# holder dies. So whoever is killed at any moment leaves nothing half written, and what exporters read is put right from
# the logs by the next hook or by the sweeper.
#
# Nothing here may hurt a job: no Slurm command, no wait longer than the lock's, never an exit status but 0, no file that
# grows. bash starts one other program (flock), two where a file has to be replaced (mv) or removed (rm).

# What a site may set differently; `bcm-jobstats apply` writes its values here.
run=/run
mode=label
release=empty
numbers=index

exec 2>/dev/null
started=${EPOCHREALTIME-}
PATH=/usr/bin:/bin LC_ALL=C IFS=$' \t\n'
umask 022
shopt -s extglob nullglob
home=$run/bcm-jobstats
map='' state='' public='' job=- uid=0 lock='' said='' failures=0
labels=yes informs='' unlinks='' # what this map is made into, and whether empty files go
keys=() staged=() gone=()
declare -A holders=() # key -> the jobs that hold the GPU, the last one last: ` <job>:<uid> <job>:<uid> `
declare -A table=()   # UUID or minor-<number of the device file> -> index

problem() { # TEXT: counted; the first one goes to syslog
    failures=$((failures + 1))
    said=${said:-$1}
}

use() { # MAP: gpustat or dcgm-job-map
    map=$1 state=$home/$1 public=$run/$1
    keys=() staged=() gone=()
    labels=yes informs='' unlinks=''
    [[ $map == dcgm-job-map ]] || return # the two settings are about dcgm-exporter
    [[ $mode == info ]] && labels=''
    [[ $mode == label ]] || informs=yes
    [[ $release == unlink ]] && unlinks=yes
}

# Makes a directory that is missing. In one that somebody else owns we could be led anywhere by links.
ready() { # DIRECTORY
    [[ -d $1 ]] || mkdir -p -- "$1"
    [[ -d $1 && -O $1 && ! -L $1 ]] && return
    problem "$1: no directory, or not root's; remove it, or make it root's"
    return 1
}

locked() {
    ready "$state" || return
    [[ ! $labels ]] || ready "$public" || return
    exec {lock}<"$state" && flock -w 0.8 "$lock" && return
    problem "$state: not locked within 0.8 s; does a hook hang?"
    return 1
}

# What a key may be: a GPU's index, with its MIG instance behind it for DCGM; or a UUID.
valid() { # KEY
    [[ $1 == @(+([0-9])?(.+([0-9]))|@(GPU|MIG)-+([0-9a-f-])) && ${#1} -le 64 ]]
}

# Sets holders from the logs. Where there is none yet, what exporters read begins it: another hook wrote that before us.
load() {
    local file key line lines held one who
    holders=()
    for file in "$state"/* "$public"/*; do
        key=${file##*/}
        [[ ! ${holders[$key]+known} && -f $file && ! -L $file ]] || continue
        valid "$key" || continue
        held=' ' lines=()
        [[ ! -s $file ]] || mapfile -t lines <"$file"
        for line in "${lines[@]}"; do
            [[ $line == ?(-)+([0-9])?( +([0-9])) ]] || continue
            one=${line#-} one=${one% *}
            [[ $held == ' ' ]] || held=${held/ "$one":+([0-9]) / }
            [[ $line == -* ]] && continue
            who=${line#"$one"} who=${who# }
            held+="$one:${who:-0} "
        done
        holders[$key]=$held
        [[ ! $lock || $file == "$state"/* || $held == ' ' ]] || begin "$key"
    done
}

# Writes a log that holds what holders has, and nothing else.
begin() { # KEY
    local text='' one
    for one in ${holders[$1]}; do text+=${one/:/ }$'\n'; done
    {
        ready "$state/.new" && printf '%s' "$text" >"$state/.new/$1.log" &&
            mv -f -- "$state/.new/$1.log" "$state/$1"
    } || problem "$state/$1: cannot be written; is $run full or read-only?"
}

hold() { # KEY JOB UID
    [[ ${holders[$1]-} == *" $2:"* ]] && return
    printf '%s %s\n' "$2" "$3" >>"$state/$1" || {
        problem "$state/$1: cannot be written; is $run full or read-only?"
        return
    }
    holders[$1]="${holders[$1]:- }$2:$3 "
}

drop() { # KEY JOB
    local left=${holders[$1]/ "$2":+([0-9]) / }
    if [[ $left == ' ' ]]; then
        : >"$state/$1"
    else
        printf -- '-%s\n' "$2" >>"$state/$1"
    fi || {
        problem "$state/$1: cannot be written; is $run full or read-only?"
        return
    }
    holders[$1]=$left
}

# Brings what exporters read of a GPU up to date. A file is appended to, emptied or replaced: nobody ever reads half a
# line, nor finds one job gone because another one came.
publish() { # KEY
    local file=$public/$1 text='' there one
    for one in ${holders[$1]}; do
        if [[ $map == gpustat ]]; then
            # One line is all that its exporter takes: on a GPU that jobs share, the job that started last.
            text=${one/:/ }$'\n'
        elif [[ $labels ]]; then
            text+=${one%:*}$'\n'
        fi
    done
    if [[ ! $text ]]; then
        if [[ $unlinks ]]; then
            [[ -e $file ]] && gone+=("$file")
        elif [[ -s $file ]]; then
            : >"$file" || problem "$file: cannot be emptied; is $run read-only?"
        fi
        return
    fi
    there=''
    [[ -s $file ]] && IFS= read -r -d '' there <"$file"
    [[ $there == "$text" ]] && return
    if [[ $text == "$there"* && (-e $file || ! $unlinks) && ! -L $file ]]; then
        printf '%s' "${text#"$there"}" >>"$file" || problem "$file: cannot be written; is $run full or read-only?"
    elif ready "$state/.new" && printf '%s' "$text" >"$state/.new/$1"; then
        staged+=("$state/.new/$1")
    else
        problem "$state/.new/$1: cannot be written; is $run full or read-only?"
    fi
}

commit() {
    ((!${#staged[@]})) || mv -f -t "$public" -- "${staged[@]}" || problem "$public: files cannot be replaced"
    ((!${#gone[@]})) || rm -f -- "${gone[@]}" || problem "$public: files cannot be removed"
    [[ ! $informs ]] || inform
}

# The second way to label: one metric per job and GPU, for node_exporter's textfile collector.
inform() {
    local key one gpu text='' new=$state/.new/jobs.prom
    for key in "${!holders[@]}"; do
        gpu="gpu=\"${key%.*}\""
        [[ $key == *.* ]] && gpu+=",GPU_I_ID=\"${key#*.}\""
        for one in ${holders[$key]}; do
            text+="slurm_job_gpu_info{jobid=\"${one%:*}\",userid=\"${one#*:}\",$gpu} 1"$'\n'
        done
    done
    [[ $text ]] && text="# HELP slurm_job_gpu_info Which job holds which GPU, always 1."$'\n'"# TYPE slurm_job_gpu_info gauge"$'\n'$text
    {
        ready "$state/.new" && ready "$home/textfile" && printf '%s' "$text" >"$new" &&
            mv -f -t "$home/textfile" -- "$new"
    } || problem "$home/textfile/jobs.prom: cannot be written; is $run full?"
}

# Sets job and uid from what Slurm says.
identify() {
    [[ ${SLURM_JOB_ID-} == [1-9]*([0-9]) && ${#SLURM_JOB_ID} -le 18 ]] || {
        problem "SLURM_JOB_ID is '${SLURM_JOB_ID:0:40}', no job id; is this run by Slurm?"
        return 1
    }
    job=$SLURM_JOB_ID
    [[ ${SLURM_JOB_UID-} == +([0-9]) && ${#SLURM_JOB_UID} -le 18 ]] && uid=$SLURM_JOB_UID
    return 0
}

# Sets keys to those of the job's GPUs. SLURM_JOB_GPUS counts whole GPUs; what is a UUID in CUDA_VISIBLE_DEVICES is the
# better word, and the only one on MIG, where Slurm's numbers count instances (peers C4a).
identify_gpus() {
    local words numbered word key index
    # Split by commas with builtins alone; -f, because a word may be a pattern.
    set -f
    IFS=,
    # shellcheck disable=SC2206
    numbered=(${SLURM_JOB_GPUS:0:4096}) words=(${CUDA_VISIBLE_DEVICES:0:16384})
    set +f
    IFS=$' \t\n'
    [[ ${words[0]-} == @(GPU|MIG)-* || ! ${numbered[0]-} ]] || words=("${numbered[@]}")
    [[ ${words[0]-} != NoDevFiles ]] || return
    for index in "${!words[@]}"; do
        word=${words[index]} key=''
        if [[ $word == +([0-9]) && ${#word} -le 4 ]]; then
            key=$((10#$word))
            [[ $numbers == index ]] || look_up "minor-$key"
        elif [[ $word == @(GPU|MIG)-* ]] && valid "$word"; then
            key=$word
            # DCGM has numbers only. Where the table does not know a whole GPU, Slurm's own number will do.
            [[ $map == gpustat ]] || look_up "$word" || key=${numbered[index]-}
            [[ $map == gpustat || $word == GPU-* || $key == *.* ]] || key=''
        fi
        if [[ ! $key ]] || ! valid "$key"; then
            problem "GPU '${word:0:80}' of Slurm is not in $home/gpus"
        elif [[ " ${keys[*]} " != *" $key "* ]]; then
            keys+=("$key") # once: two compute instances may lie in one GPU instance
        fi
    done
}

# Sets key to what the table that gpu-table wrote has for a UUID, or for the number of a device file.
look_up() { # UUID | minor-NUMBER
    local name index minor
    if ((!${#table[@]})); then
        while read -r name index minor; do
            table[$name]=$index
            [[ ! $minor ]] || table[minor-$minor]=$index
        done <"$home/gpus"
    fi
    key=${table[$1]-}
    [[ $key ]]
}

# What the hook took and whether it failed, for the sweeper to publish.
account() {
    local runs=0 failed=0 spent=0 took=0 now=${EPOCHREALTIME-} file=$home/runs/$hook
    read -r runs failed spent _ <"$file" || [[ -d $home/runs ]] || mkdir -p -- "$home/runs"
    [[ $runs$failed$spent == +([0-9]) ]] || runs=0 failed=0 spent=0
    [[ $now ]] && took=$((${now/[.,]/} - ${started/[.,]/}))
    printf '%d %d %d %d\n' $((runs + 1)) $((failed + (failures > 0))) $((spent + took)) "$took" >"$file"
}

# The end of a hook.
finish() {
    [[ $said ]] && timeout 0.1 logger -t bcm-jobstats -p daemon.warning -- "$hook: job $job: ${said:0:300}"
    [[ $lock || $said ]] && account
}

# What was swept away of this job is not to come back: it starts anew, or is over.
forget() {
    [[ -s $home/swept/$job ]] && : >"$home/swept/$job"
}

# A prolog: the job holds exactly these GPUs.
take() {
    local key
    identify && identify_gpus
    ((${#keys[@]})) && locked || return
    load
    forget
    for key in "${!holders[@]}"; do
        if [[ ${holders[$key]} == *" $job:"* && " ${keys[*]} " != *" $key "* ]]; then
            drop "$key" "$job" # an earlier start of this job, whose epilog did not run
            publish "$key"
        fi
    done
    for key in "${keys[@]}"; do
        hold "$key" "$job" "$uid"
        [[ ${holders[$key]+known} ]] && publish "$key"
    done
    commit
}

# An epilog: the job holds none, whatever the environment says of its GPUs.
give_back() {
    local key
    identify || return
    forget
    # A job without GPUs most likely has nothing to give back, and to see that needs no lock.
    [[ ${SLURM_JOB_GPUS-}${CUDA_VISIBLE_DEVICES-} ]] || {
        load
        [[ ${holders[*]} == *" $job:"* ]] || return
    }
    locked || return
    load
    for key in "${!holders[@]}"; do
        if [[ ${holders[$key]} == *" $job:"* ]]; then
            drop "$key" "$job"
            publish "$key"
            keys+=("$key")
        fi
    done
    ((!${#keys[@]})) || commit
}
