"""Which of a job's processes this is, by the environment that torchrun, Slurm's srun or `--processes` gives it."""

import os
import signal
from dataclasses import dataclass

# Names the descriptor of the socket at which the first process is to listen, where it inherits one. A port that is
# only chosen beforehand can be taken by others meanwhile, even by a connection of the second process to itself.
LISTENER = "GROUNDUP_LISTENER"


@dataclass(frozen=True)
class Place:
    """rank counts the processes of the job, local_rank those of this machine, both from 0; world is their number.

    Rank 0 leads: it makes the artifacts, writes the run and speaks.
    """

    rank: int
    world: int
    local_rank: int


def here() -> Place:
    """This process's place; alone where the environment says nothing.

    In a job step of several tasks that srun started, Slurm's variables count where torchrun's are not set. The script
    of an sbatch job is no such step.
    """
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
    if "RANK" not in os.environ and int(os.environ.get("SLURM_STEP_NUM_TASKS", 1)) > 1:
        names = ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID")
    rank, world, local_rank = (
        int(os.environ.get(name, default)) for name, default in zip(names, (0, 1, 0), strict=True)
    )
    return Place(rank, world, local_rank)


def stop_signals() -> list[signal.Signals]:
    """The signals that ask a process to stop, of those that this system has: Ctrl-C, kill, a terminal that was closed
    (unless nohup has it ignored), and what Slurm can be told to send before it takes a node away."""
    names = ("SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2", "SIGHUP")
    found = [getattr(signal, name) for name in names if hasattr(signal, name)]
    return [number for number in found if number.name != "SIGHUP" or signal.getsignal(number) != signal.SIG_IGN]
