#!/usr/bin/env bash
# A run on all nodes of a SLURM job, which goes on with it when it is run again: docs/clusters.md.
#
#   sbatch slurm.sh RUN COMMAND OPTIONS...
#   sbatch slurm.sh runs/joint hrvit-search --space joint --profile cluster --data-root DIR
#
# RUN, the environment in which hrvit_nas is installed and the home folder are on shared storage.
#SBATCH --job-name=hrvit
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=32
#SBATCH --gpus-per-node=4
#SBATCH --exclusive
#SBATCH --time=24:00:00
#SBATCH --signal=B:TERM@120
#SBATCH --requeue
#SBATCH --no-kill
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.log
set -euo pipefail

run=${1:?usage: sbatch slurm.sh RUN COMMAND OPTIONS...}
shift
: "${1:?usage: sbatch slurm.sh RUN COMMAND OPTIONS...}"
port=${RAY_PORT:-6379}

# All that speaks to this Ray has to know a token, which is made once, in the home folder.
export RAY_AUTH_MODE=token
ray get-auth-token --generate > /dev/null

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
ip=$(python -c 'import ray; print(ray.util.get_node_ip_address())')
address=$ip:$port

# One step a node, so that a node that is lost takes no other with it. SLURM does not tell steps
# how many cores the job was given a task, and Ray would count those of the whole machine.
on_node() {
    local node=$1
    shift
    srun --nodes=1 --ntasks=1 --nodelist="$node" --cpus-per-task="$SLURM_CPUS_PER_TASK" --overlap \
        "$@" --num-cpus="$SLURM_CPUS_PER_TASK" --block &
}

searching='' stopped=''
stop() {
    stopped=yes
    if [ -n "$searching" ]; then
        kill -TERM "$searching" 2> /dev/null || true # which writes the results so far
    fi
}
trap stop TERM
trap 'kill $(jobs -p) 2> /dev/null || true' EXIT

# This script runs on the first node.
on_node "${nodes[0]}" ray start --head --port="$port" --include-dashboard=false
head=$!
until ray health-check --address "$address" > /dev/null 2>&1; do
    kill -0 "$head" 2> /dev/null || { echo "Ray does not start on ${nodes[0]}" >&2; exit 1; }
    sleep 1
done
for node in "${nodes[@]:1}"; do
    on_node "$node" ray start --address="$address"
done

if [ -e "$run/config.json" ]; then
    goal=("$1" --resume "$run")
else
    goal=("$@" --output "$run")
fi
"${goal[@]}" --address "$address" &
searching=$!
if [ -n "$stopped" ]; then
    stop # the signal came before there was anything to pass it on to
fi
status=0
wait "$searching" || status=$?
while kill -0 "$searching" 2> /dev/null; do # a signal ends `wait`, not what it waits for
    status=0
    wait "$searching" || status=$?
done
if [ -n "$stopped" ] && [ "$status" -ne 0 ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
