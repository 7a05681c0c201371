"""The processes that train one run together, each with its share of every batch.

Rank 0 is the process that the engine started and knows of. It starts the others, holds the run's lock and alone writes
to the run directory. They end with it, however it ends; and where one of them ends, it fails with that one's reason.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for_any
from multiprocessing.process import BaseProcess
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed import Store, TCPStore  # type: ignore[attr-defined]

from bnnlab.data.batching import Shard
from bnnlab.experiment.failure import RankFailed, classify, detail_of

ADDRESS = "127.0.0.1"
PATIENCE = timedelta(minutes=30)
"""How long a rank waits for the others in one step. The engine takes a run for hung before that."""
GRACE_S = 10.0
"""How long the others may take to notice that one is gone. Gloo tells them at once, NCCL may wait for ever."""

Work = Callable[..., None]


@contextlib.contextmanager
def ranks(
    world: int, backend: str, work: Work, arguments: Sequence[Any], on_lost: Callable[[RankFailed], None]
) -> Iterator[Shard]:
    """Be rank 0 of `world` processes, the others of which do `work(shard, *arguments)`; alone where that is one.

    Raises: RankFailed in place of what a collective says when another rank has failed. `on_lost` is called, in a thread
    and instead, where the main thread does not come back from a collective; it must end the process.
    """
    if world == 1:
        yield Shard()
        return
    store = TCPStore(ADDRESS, 0, world, is_master=True, wait_for_workers=False, timeout=PATIENCE)
    others = _Others(world, store.port, backend, work, arguments, on_lost)
    try:
        with _process_group(store, backend, Shard(0, world)):
            yield Shard(0, world)
            dist.barrier()  # none takes its leave while another may still need it
    except RuntimeError as error:
        failed = others.failed(GRACE_S / 2)
        if failed is not None:
            raise failed from error
        raise
    finally:
        others.end()


def over_ranks(values: Sequence[float], shard: Shard, device: torch.device) -> list[float]:
    """Each value summed over all ranks; every rank must ask."""
    if shard.world == 1:
        return list(values)
    sums = torch.tensor(values, dtype=torch.float64, device=device)
    dist.all_reduce(sums)
    return list(sums.tolist())


def of_all_ranks(value: Any, shard: Shard) -> list[Any]:
    """What each rank has to say, in their order; every rank must ask."""
    if shard.world == 1:
        return [value]
    values = [None] * shard.world
    dist.all_gather_object(values, value)
    return values


@contextlib.contextmanager
def _process_group(store: Store, backend: str, shard: Shard) -> Iterator[None]:
    if backend == "nccl":
        torch.cuda.set_device(shard.rank)
    dist.init_process_group(backend, store=store, rank=shard.rank, world_size=shard.world, timeout=PATIENCE)
    well = False
    try:
        yield
        well = True
    finally:
        if well or backend != "nccl":  # NCCL would first wait for collectives that will never end
            dist.destroy_process_group()


class _Others:
    """Ranks 1 and up, as rank 0 sees them."""

    def __init__(
        self,
        world: int,
        port: int,
        backend: str,
        work: Work,
        arguments: Sequence[Any],
        on_lost: Callable[[RankFailed], None],
    ) -> None:
        # Not fork: this process has threads, and may have a CUDA context.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([work.__module__])
        self._members: list[tuple[BaseProcess, Connection]] = []
        self._on_lost = on_lost
        self._over = threading.Event()
        for rank in range(1, world):
            ours, theirs = context.Pipe()
            process = context.Process(
                target=_follow, args=(Shard(rank, world), port, backend, theirs, work, arguments), daemon=False
            )
            process.start()  # not a daemon: it may have processes of its own that decode images
            theirs.close()
            self._members.append((process, ours))
        threading.Thread(target=self._watch, daemon=True).start()

    def failed(self, patience_s: float) -> RankFailed | None:
        """The failure that is most likely the first; None where no rank ends within `patience_s`."""
        deadline = time.monotonic() + patience_s
        wait_for_any([process.sentinel for process, _ in self._members], patience_s)
        found: list[tuple[int, RankFailed]] = []
        for rank, (process, connection) in enumerate(self._members, 1):
            process.join(max(0.0, deadline - time.monotonic()))
            if (failure := _last_words(rank, process, connection)) is not None:
                # A rank whose partner has gone raises an exception that says nothing of why.
                found.append((failure.kind == "exception", failure))
        return min(found, key=lambda pair: pair[0])[1] if found else None

    def end(self) -> None:
        """Let the others go; kill those who do not."""
        self._over.set()
        deadline = time.monotonic() + GRACE_S / 2
        for _, connection in self._members:
            connection.close()
        for process, _ in self._members:
            process.join(max(0.0, deadline - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join()

    def _watch(self) -> None:
        wait_for_any([process.sentinel for process, _ in self._members])
        if self._over.wait(GRACE_S):
            return
        failure = self.failed(0)
        if failure is not None:
            self._on_lost(failure)


def _last_words(rank: int, process: BaseProcess, connection: Connection) -> RankFailed | None:
    """Why a rank failed: what it said, else how it ended. None while it lives, and where all went well."""
    with contextlib.suppress(EOFError, OSError):
        if connection.poll():
            kind, cause, detail = connection.recv()
            return RankFailed(kind, cause, detail)
    code = process.exitcode
    if not code:
        return None
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    return RankFailed("died", f"the process of rank {rank} {how}")


def _follow(
    shard: Shard, port: int, backend: str, connection: Connection, work: Work, arguments: Sequence[Any]
) -> None:
    """What a process of rank 1 or up does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; what it means, the coordinator decides
    threading.Thread(target=_end_with_first, args=(connection,), daemon=True).start()
    code = 0
    try:
        store = TCPStore(ADDRESS, port, shard.world, is_master=False, timeout=PATIENCE)
        with _process_group(store, backend, shard):
            work(shard, *arguments)
            dist.barrier()
    except Exception as error:
        traceback.print_exc()
        code = 1
        with contextlib.suppress(OSError):
            connection.send((*classify(error), detail_of(error)))
    os._exit(code)


def _end_with_first(connection: Connection) -> None:
    with contextlib.suppress(EOFError, OSError):
        connection.recv_bytes()
    os._exit(1)
