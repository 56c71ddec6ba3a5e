#!/usr/bin/env bash
# Predicts a folder of scenes as a SLURM job array, a share of the scenes per task:
#     sbatch --array=1-40 slurm.sh RUN SCENES OUT
# All tasks write to OUT. Each leaves log-IofN.txt and result-IofN.json there; the last one to end leaves the findings of all.
# A task that is out of memory or time begins again where it stopped, three times at most.
#SBATCH --job-name=seepseg
#SBATCH --array=1-8
#SBATCH --cpus-per-task=4
#SBATCH --mem=16G
#SBATCH --time=04:00:00
#SBATCH --signal=TERM@120
#SBATCH --requeue
#SBATCH --output=seepseg-%A_%a.out
#SBATCH --open-mode=append
set -euo pipefail
run=$1 scenes=$2 out=$3
of=$SLURM_ARRAY_TASK_COUNT
task=$((SLURM_ARRAY_TASK_ID - SLURM_ARRAY_TASK_MIN + 1))
mkdir -p "$out"
command=(seepseg predict "$run" "$scenes" -o "$out" --shard "$task/$of" --threads "${SLURM_CPUS_PER_TASK:-1}")
command+=(--quiet --json --log-file "$out/log-${task}of$of.txt")
# As a step of its own, it gets the signal of --signal two minutes before the time is up, and this script does not.
if command -v srun >/dev/null; then command=(srun --cpus-per-task "${SLURM_CPUS_PER_TASK:-1}" "${command[@]}"); fi
code=0
"${command[@]}" >"$out/result-${task}of$of.json" || code=$?
case $code in
    4) echo "some inputs failed, and would again: see $out/failures-${task}of$of.jsonl" >&2 ;;
    5 | 143)
        if [ "${SLURM_RESTART_COUNT:-0}" -lt 3 ]; then
            scontrol requeue "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"
        fi
        ;;
esac
exit "$code"
