# shellcheck shell=bash
# Which job holds which GPU of this node: what the prologs, the epilogs and the sweeper of jobstats share.
#
# Exporters read a file per GPU: $run/gpustat/<key> says `<job> <uid>`, $run/dcgm-job-map/<key> a job id a line. Both are
# made from a log per GPU, $run/bcm-jobstats/<map>/<key>: `<job> <uid>` when a job takes the GPU, `-<job>` when it gives
# it back. A log is appended to or emptied, each in one call to the kernel, under a lock that the kernel frees when its
# holder dies. So whoever is killed at any moment leaves nothing half written, and what exporters read is put right from
# the logs by a later hook or by the sweeper.
#
# Nothing here may hurt a job: no Slurm command, no wait longer than the lock's, never an exit status but 0, no file that
# only grows. bash starts one other program (flock); where files have to be replaced (mv) or removed (rm), one or two more.

# What a site may set differently; `bcm-jobstats apply` writes its values here.
run=/run
mode=label
release=empty
numbers=index

exec 2>/dev/null
started=${EPOCHREALTIME-}
unset -v FUNCNEST
trap '' XFSZ # a limit on the size of files is a write that fails
export PATH=/usr/bin:/bin LC_ALL=C
IFS=$' \t\n'
umask 022
shopt -s extglob nullglob
home=$run/bcm-jobstats
map='' state='' public='' job=- uid=0 lock='' said='' failures=0
labels=yes informs='' unlinks='' # what this map is made into, and whether empty files go
keys=() staged=() gone=()
declare -A changed=() # keys whose files for the exporters are to be brought up to date
declare -A holders=() # key -> the jobs that hold the GPU, the last one last: ` <job>:<uid> <job>:<uid> `
declare -A table=()   # UUID or minor-<number of the device file> -> index

problem() { # TEXT: counted; the first one goes to syslog
    failures=$((failures + 1))
    said=${said:-$1}
}

use() { # MAP: gpustat or dcgm-job-map
    map=$1 state=$home/$1 public=$run/$1
    keys=() staged=() gone=() changed=()
    labels=yes informs='' unlinks=''
    [[ $map == dcgm-job-map ]] || return # the two settings are about dcgm-exporter
    [[ $mode == info ]] && labels=''
    [[ $mode == label ]] || informs=yes
    [[ $release == unlink ]] && unlinks=yes
}

# In a directory that somebody else owns, or by a link, we could be led anywhere.
ours() { # DIRECTORY
    [[ -d $1 && -O $1 && ! -L $1 ]]
}

ready() { # DIRECTORY: makes it where it is missing
    [[ -d $1 ]] || mkdir -p -- "$1"
    ours "$1" && return
    problem "$1: no directory, or not root's; remove it, or make it root's"
    return 1
}

locked() { # [take|give]: what to leave to others when the lock is not free
    ready "$home" && ready "$state" || return
    [[ ! $labels ]] || ready "$public" || return
    exec {lock}<"$state" && flock -w 0.8 "$lock" && return
    problem "$state: not locked within 0.8 s; does a hook hang?"
    [[ ! ${1-} ]] || leave "$1"
    return 1
}

# What a key may be: a GPU's index, with its MIG instance behind it for DCGM; or a UUID.
valid() { # KEY
    [[ $1 == @(+([0-9])?(.+([0-9]))|@(GPU|MIG)-+([0-9a-f-])) && ${#1} -le 64 ]]
}

# A file that is there is one: to write through a link, or into a pipe, could go anywhere, or take for ever.
plain() { # FILE
    [[ ! -L $1 && (-f $1 || ! -e $1) ]]
}

# Sets holders from the logs. Where there is none yet, what exporters read begins it: another hook wrote that before us.
load() {
    local file key line lines held one who whole
    holders=()
    for file in "$state"/* "$public"/*; do
        key=${file##*/}
        [[ ! ${holders[$key]+known} && -f $file && ! -L $file ]] || continue
        valid "$key" || continue
        held=' ' lines=() whole=yes
        if [[ -s $file ]]; then
            mapfile lines <"$file"
            [[ ${lines[-1]} == *$'\n' ]] || whole='' # the next line would become a part of the last
            ((${#lines[@]} < 50)) || whole=''         # where no sweeper runs
        fi
        for line in "${lines[@]}"; do
            line=${line%$'\n'}
            [[ $line == ?(-)+([0-9])?( +([0-9])) ]] || {
                whole=''
                continue
            }
            one=${line#-} one=${one% *}
            [[ $held == *" $one:"* ]] && held=${held/ "$one":+([0-9]) / }
            [[ $line == -* ]] && continue
            who=${line#"$one"} who=${who# }
            held+="$one:${who:-0} "
        done
        holders[$key]=$held
        if [[ $lock ]] && [[ ! $whole || ($file == "$public"/* && $held != ' ') ]]; then begin "$key"; fi
    done
    [[ ! $lock ]] || catch_up
}

# Writes a log that holds what holders has, and nothing else.
begin() { # KEY
    local text='' one
    for one in ${holders[$1]}; do text+=${one/:/ }$'\n'; done
    changed[$1]=yes
    {
        ready "$state/.new" && printf '%s' "$text" >"$state/.new/$1.log" &&
            mv -fT -- "$state/.new/$1.log" "$state/$1"
    } || problem "$state/$1: cannot be written; is $run full or read-only?"
}

hold() { # KEY JOB UID
    local before=${holders[$1]- }
    changed[$1]=yes
    [[ $before == *" $2:"* ]] && return
    holders[$1]="$before$2:$3 "
    if ! plain "$state/$1"; then
        begin "$1"
    elif ! printf '%s %s\n' "$2" "$3" >>"$state/$1"; then
        holders[$1]=$before
        problem "$state/$1: cannot be written; is $run full or read-only?"
    fi
}

drop() { # KEY JOB
    local before=${holders[$1]}
    changed[$1]=yes
    holders[$1]=${before/ "$2":+([0-9]) / }
    if ! plain "$state/$1"; then
        begin "$1"
        return
    elif [[ ${holders[$1]} == ' ' ]]; then
        : >"$state/$1"
    else
        printf -- '-%s\n' "$2" >>"$state/$1"
    fi || {
        holders[$1]=$before
        problem "$state/$1: cannot be written; is $run full or read-only?"
    }
}

assign() { # JOB UID [KEY...]: the job holds exactly these GPUs
    local one=$1 who=$2 key
    shift 2
    for key in "${!holders[@]}"; do
        # Those of an earlier start of this job, whose epilog did not run, are not among them.
        [[ ${holders[$key]} == *" $one:"* && " $* " != *" $key "* ]] && drop "$key" "$one"
    done
    for key; do hold "$key" "$one" "$who"; done
}

# What cannot be noted because the lock is not free is left for whoever has it next.
leave() { # take|give
    ready "$state/.late" &&
        printf '%s %s %s %s\n' "$1" "$job" "$uid" "${keys[*]}" >"$state/.late/${started:-$SECONDS}-$$"
}

catch_up() {
    local file what one who rest key
    for file in "$state"/.late/+([0-9.])-+([0-9]); do # in the order of time
        plain "$file" || continue
        read -r what one who rest <"$file" || continue # being written
        [[ $what == @(take|give) && $one == +([0-9]) && $who == +([0-9]) ]] || rest=''
        for key in $rest; do valid "$key" || rest=''; done
        # shellcheck disable=SC2086 # words
        assign "$one" "$who" $rest
        gone+=("$file")
    done
}

# Brings what exporters read of a GPU up to date. A file is appended to, emptied or replaced: nobody ever reads half a
# line, nor finds one job gone because another one came.
publish() { # KEY
    local file=$public/$1 text='' there='' one fit=''
    for one in ${holders[$1]}; do
        if [[ $map == gpustat ]]; then
            # One line is all that its exporter takes: on a GPU that jobs share, the job that started last.
            text=${one/:/ }$'\n'
        elif [[ $labels ]]; then
            text+=${one%:*}$'\n'
        fi
    done
    if [[ ! $text ]]; then
        if [[ $unlinks ]] || ! plain "$file"; then
            [[ -e $file || -L $file ]] && gone+=("$file")
        elif [[ -s $file ]]; then
            : >"$file" || problem "$file: cannot be emptied; is $run read-only?"
        fi
        return
    fi
    if plain "$file"; then
        fit=yes
        [[ ! -s $file ]] || ! IFS= read -r -d '' there <"$file" || there=$'\n' # it has a NUL: not what we wrote
        [[ $there == "$text" ]] && return
    fi
    if [[ $fit && $text == "$there"* && (-e $file || ! $unlinks) ]]; then
        printf '%s' "${text#"$there"}" >>"$file" || problem "$file: cannot be written; is $run full or read-only?"
    elif ready "$state/.new" && printf '%s' "$text" >"$state/.new/$1"; then
        staged+=("$state/.new/$1")
    else
        problem "$state/.new/$1: cannot be written; is $run full or read-only?"
    fi
}

commit() {
    local key
    for key in "${!changed[@]}"; do publish "$key"; done
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
    ((${#words[@]} <= 128)) || {
        problem "Slurm names ${#words[@]} GPUs; no node has as many"
        words=("${words[@]:0:128}")
    }
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
        if [[ $key != +([0-9]) ]] && ! valid "$key"; then
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
        [[ -f $home/gpus ]] && while read -r name index minor; do
            table[$name]=$index
            [[ ! $minor ]] || table[minor-$minor]=$index
        done <"$home/gpus"
    fi
    key=${table[$1]-}
    [[ $key ]]
}

# What the hook took and whether it failed, for the sweeper to publish.
account() {
    local runs failed spent took=0 now=${EPOCHREALTIME-} file=$home/runs/$hook
    ours "$home" || return
    [[ -d $home/runs ]] || mkdir -p -- "$home/runs"
    ours "$home/runs" && plain "$file" || return
    [[ -s $file ]] && read -r runs failed spent _ <"$file"
    [[ "$runs $failed $spent" == +([0-9])\ +([0-9])\ +([0-9]) ]] || runs=0 failed=0 spent=0
    [[ $now ]] && took=$((${now/[.,]/} - ${started/[.,]/}))
    printf '%d %d %d %d\n' $((10#$runs + 1)) $((10#$failed + (failures > 0))) $((10#$spent + took)) "$took" >"$file"
}

# What went wrong first, to syslog.
tell() { # WHO
    local text=${said:0:300}
    # The environment may be quoted in it: no line of its own, nothing that a terminal obeys.
    [[ ! $text ]] || timeout 0.1 logger -t bcm-jobstats -p daemon.warning -- "$1: ${text//[^[:print:]]/?}"
}

# The end of a hook.
finish() {
    [[ $lock || $said ]] && account
    [[ $lock ]] && exec {lock}<&-
    tell "$hook: job $job"
}

# What was swept away of this job is not to come back: it starts anew, or is over.
forget() {
    [[ -s $home/swept/$job ]] && ours "$home/swept" && plain "$home/swept/$job" && : >"$home/swept/$job"
}

# A prolog: the job holds exactly these GPUs.
take() {
    identify && identify_gpus
    ((${#keys[@]})) || return
    locked take || return
    load
    forget
    assign "$job" "$uid" "${keys[@]}"
    commit
}

# An epilog: the job holds none, whatever the environment says of its GPUs.
give_back() {
    identify || return
    forget
    # A job without GPUs most likely has nothing to give back, and to see that needs no lock.
    [[ ${SLURM_JOB_GPUS-}${CUDA_VISIBLE_DEVICES-} ]] || {
        load
        [[ ${holders[*]} == *" $job:"* ]] || return
    }
    locked give || return
    load
    assign "$job" "$uid"
    ((!(${#changed[@]} + ${#gone[@]}))) || commit
}
