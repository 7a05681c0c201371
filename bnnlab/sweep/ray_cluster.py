"""Runs on a Ray cluster. Imports ray only when it is opened."""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from bnnlab.experiment.directory import RunDirectory, RunIsTaken
from bnnlab.experiment.execution import Execution
from bnnlab.experiment.failure import EXIT_CODES, classify
from bnnlab.sweep.executor import TAKEN, Exit, Job, NoExecutor, SubmissionFailed
from bnnlab.sweep.executor_config import RayConfig, in_bytes
from bnnlab.sweep.ray_agent import Agent, News, Whereabouts
from bnnlab.sweep.travel import Inbox, pack

NEWS_EVERY_S = 0.5
FAREWELL_S = 5.0
"""How long an agent may take to end a run that was cancelled, before it is ended itself."""
PLACEMENTS = 6
"""How often a run is given to an agent that is gone before it begins; the pauses between them add up to a minute."""
COUNT_EVERY_S = 5.0
KNOCK_S = 10.0
KILLED = Exit(-9)


def open_ray(config: RayConfig, execution: Execution) -> RayExecutor:
    """Join the cluster, or start one on this machine. Raises NoExecutor."""
    ray: Any = import_module("ray")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a sweep tells nobody that it runs
    began = not ray.is_initialized()
    if began:
        try:
            _knock(config.address)
            ray.init(
                address=config.address,
                runtime_env=dict(config.runtime_env) or None,
                log_to_driver=False,
                logging_level="error",
                **({} if config.address else {"include_dashboard": False}),
            )
        except Exception as error:
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise NoExecutor(f"no Ray cluster at {config.address or 'this machine'}: {first}") from error
    executor = RayExecutor(ray, config, shut_down=began)
    if config.workers is None and executor.room() == 0:
        nodes = "; ".join(_describe(node["Resources"]) for node in ray.nodes() if node["Alive"])
        executor.close()
        wants = _describe({"CPU": config.cpus, "GPU": config.gpus, **_more(config)})
        raise NoExecutor(f"no node of the Ray cluster has room for a run of {wants}; its nodes: {nodes or 'none'}")
    return executor


def _knock(address: str | None) -> None:
    """Raises OSError where nobody answers at an address: ray.init would wait for many minutes, deaf to Ctrl-C."""
    found = re.fullmatch(r"(?:ray://)?([^/:]+|\[[^\]]+\]):(\d+)", address or "")
    if found:
        socket.create_connection((found[1].strip("[]"), int(found[2])), timeout=KNOCK_S).close()


class RayExecutor:
    """An agent a run, placed by Ray where there is room, and used again for the next run.

    Without a shared file system the run directories travel: see `travel.py`.
    """

    def __init__(self, ray: Any, config: RayConfig, *, shut_down: bool = False) -> None:
        self._ray = ray
        self._config = config
        self._shut_down = shut_down
        options: dict[str, Any] = {"num_cpus": config.cpus, "num_gpus": config.gpus, "max_restarts": 0}
        if config.memory is not None:
            options["memory"] = in_bytes(config.memory)
        if config.resources:
            options["resources"] = dict(config.resources)
        self._agent_class = ray.remote(**options)(Agent)
        self._agents: list[Any] = []
        self._idle: list[Any] = []
        self._jobs: list[RayJob] = []
        self._room = (float("-inf"), 0)

    @property
    def slots(self) -> int:
        # At least one: what waits in Ray's queue starts when a node comes, or comes back.
        return self._config.workers or max(1, self.room())

    def room(self) -> int:
        """How many runs the nodes can hold side by side."""
        counted, room = self._room
        if time.monotonic() - counted < COUNT_EVERY_S:
            return room
        wants = {"CPU": self._config.cpus, "GPU": self._config.gpus, **_more(self._config)}
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        room = sum(_fit(node, wants) for node in nodes)
        self._room = time.monotonic(), room
        return room

    def submit(self, path: Path, execution: Execution) -> RayJob:
        self._settle()
        inbox: Inbox | None = None
        run: Any = str(path.resolve())
        if not self._config.shared_file_system:
            directory = RunDirectory(path)
            try:
                inbox = Inbox(directory)
            except RunIsTaken:
                return RayJob.taken(self._ray)
            if directory.result() is not None:
                inbox.close()
                return RayJob.taken(self._ray)
        try:
            if inbox is not None:
                # Once: were it placed a second time, the luggage is in Ray's store already.
                run = self._ray.put(pack(inbox.directory))
            job = RayJob(self._ray, lambda agent: agent.begin.remote(run, execution.model_dump_json()), inbox)
            job.place(self._agent())
        except self._ray.exceptions.RayError as error:
            if inbox is not None:
                inbox.close()
            raise SubmissionFailed(f"Ray did not take the run: {_first_line(error)}") from error
        except BaseException:
            if inbox is not None:
                inbox.close()
            raise
        self._jobs.append(job)
        return job

    def wait(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while True:
            left = deadline - time.monotonic()
            if self._settle() or left <= 0:
                return
            for job in self._jobs:
                if job.wants_a_place:
                    self._agents.remove(job.agent)
                    job.place(self._agent())
            awaited = [job.awaited for job in self._jobs if job.awaited is not None]
            if not awaited:
                time.sleep(min(left, 0.05))
                return
            ready, _ = self._ray.wait(awaited, num_returns=1, timeout=left)
            if ready:
                ready, _ = self._ray.wait(awaited, num_returns=len(awaited), timeout=0)
            for job in self._jobs:
                if job.awaited is not None and job.awaited in ready:
                    job.hear()

    def lower(self, job: Job) -> str:
        return ""  # what a run may have beside it is Ray's business: `gpus`, `cpus` and `memory` say what it needs

    def close(self) -> None:
        for job in self._jobs:
            job.end(KILLED)
        for agent in self._agents:
            self._ray.kill(agent)
        self._agents.clear()
        if self._shut_down:
            self._ray.shutdown()

    def _settle(self) -> bool:
        """Have the agents of jobs that have ended free for the next ones; gives whether there were any."""
        ended = [job for job in self._jobs if job.poll() is not None]
        for job in ended:
            self._jobs.remove(job)
            if job.agent_is_well:
                self._idle.append(job.agent)
            else:
                self._agents.remove(job.agent)
        # Before any other run: what an idle agent holds is what the agents in Ray's queue wait for, maybe for ever.
        for job in [job for job in self._jobs if job.waits][: len(self._idle)]:
            self._agents.remove(job.agent)
            job.move(self._idle.pop())
        return bool(ended)

    def _agent(self) -> Any:
        """One that is free, or a new one."""
        if self._idle:
            return self._idle.pop()
        agent = self._agent_class.remote(str(self._config.scratch) if self._config.scratch else None)
        self._agents.append(agent)
        return agent


class RayJob:
    """A run and its agent."""

    def __init__(self, ray: Any, begin: Callable[[Any], Any], inbox: Inbox | None) -> None:
        self.agent: Any = None
        self.awaited: Any = None
        """What Ray owes us next: word that the run has begun, or news of it."""
        self.started = False
        self.agent_is_well = True
        self._ray = ray
        self._begin = begin
        self._inbox = inbox
        self._exit: Exit | None = None
        self._where: Whereabouts | None = None
        self._cancelled: float | None = None
        self._placements = 0
        self._next_placement: float | None = None

    @classmethod
    def taken(cls, ray: Any) -> RayJob:
        """The job of a run that another process has."""
        job = cls(ray, lambda agent: None, None)
        job.end(Exit(TAKEN))
        return job

    def place(self, agent: Any) -> None:
        """Have an agent begin the run."""
        self.agent, self.agent_is_well = agent, True
        self._placements += 1
        self._next_placement = None
        self.awaited = self._begin(agent)

    def move(self, agent: Any) -> None:
        """Have another agent begin it than the one that Ray has found no place for yet."""
        self._give_agent_up()
        self.place(agent)

    @property
    def waits(self) -> bool:
        """Whether it has no place yet."""
        return self._exit is None and not self.started

    @property
    def wants_a_place(self) -> bool:
        """Whether its place was gone before it began, and it is time to look for another."""
        return self._exit is None and self._next_placement is not None and time.monotonic() >= self._next_placement

    def poll(self) -> Exit | None:
        overdue = self._cancelled is not None and time.monotonic() - self._cancelled > FAREWELL_S
        if self._exit is None and overdue:
            self._give_agent_up()
            self.end(KILLED)
        return self._exit

    def cancel(self) -> None:
        if self._exit is not None or self._cancelled is not None:
            return
        self._cancelled = time.monotonic()
        if self.started:
            self.agent.cancel.remote()
        else:  # it waits for a place, and would go on waiting
            self._give_agent_up()
            self.end(KILLED)

    def hear(self) -> None:
        """Take in what has arrived, and ask for more."""
        try:
            found = self._ray.get(self.awaited)
        except self._ray.exceptions.RayTaskError as error:
            self._give_agent_up()
            cause = error.cause
            self.end(Exit(None, lost=str(cause)) if isinstance(cause, SubmissionFailed) else _exit_of(cause))
        except self._ray.exceptions.RayError as error:
            self._give_agent_up()
            if self._where is None and self._placements < PLACEMENTS:
                # Ray still gives out places on a node that is gone, until it has missed it.
                self.awaited, self._next_placement = None, time.monotonic() + 2.0**self._placements
            else:
                self.end(Exit(None, lost=self._what_became_of_it(error)))
        else:
            if isinstance(found, Whereabouts):
                self.started, self._where = True, found
            else:
                self._take_in(found)
            if self._exit is None and self.agent_is_well:
                self.awaited = self.agent.news.remote(NEWS_EVERY_S)

    def end(self, exit_: Exit) -> None:
        """Note how it ended; frees the run for whoever looks at its directory next."""
        if self._inbox is not None:
            self._inbox.close()
        self._exit = self._exit or exit_

    def _take_in(self, news: News) -> None:
        try:
            if self._inbox is not None:
                self._inbox.receive(news.parcel)
        except OSError as error:  # here, not where it trains: that run is stopped, and its directory is whole
            self._give_agent_up()
            self.end(_exit_of(error))
        else:
            if news.exit is not None:
                self.end(news.exit)

    def _give_agent_up(self) -> None:
        self.agent_is_well = False
        self._ray.kill(self.agent)

    def _what_became_of_it(self, error: Exception) -> str:
        if self._where is None:
            return f"its place on the Ray cluster: {_first_line(error)}"
        alive = {node["NodeID"] for node in self._ray.nodes() if node["Alive"]}
        if self._where.node_id not in alive or "node has died" in str(error):
            return f"node {self._where.address} is gone"
        return f"node {self._where.address} is gone, or Ray's process there"


def _exit_of(error: BaseException) -> Exit:
    return Exit(EXIT_CODES[classify(error)[0]])


def _more(config: RayConfig) -> dict[str, float]:
    memory = {"memory": float(in_bytes(config.memory))} if config.memory is not None else {}
    return {**memory, **config.resources}


def _fit(node: Mapping[str, float], wants: Mapping[str, float]) -> int:
    """How many runs that each want this much go on a node."""
    counts = [int(node.get(name, 0.0) / amount + 1e-9) for name, amount in wants.items() if amount > 0]
    return min(counts, default=int(node.get("CPU", 1.0)))


def _describe(resources: Mapping[str, float]) -> str:
    hidden = ("node:", "object_store_memory", "accelerator_type:")
    shown = {name: n for name, n in resources.items() if n and not name.startswith(hidden)}
    return ", ".join(f"{n / 2**30:.1f} GB memory" if name == "memory" else f"{n:g} {name}" for name, n in shown.items())


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
