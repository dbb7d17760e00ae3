"""Steps of pages at work: each waits in its lane, and its page polls how far it is."""

import asyncio
import logging
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio.to_thread
from anyio import CapacityLimiter

from cyclopean.app.guard import without_tokens
from cyclopean.errors import sentence

LOG = logging.getLogger("cyclopean.app")

Update = dict[str, Any]
Work = Callable[[], Update | Iterator[Update]]

WAIT = 1.0  # seconds that an answer waits for the end of a step
OF_ONE = 12  # steps of one session at a time, done ones included until somebody asks
QUEUED: Update = {"busy": "Waiting for its turn"}
BROKEN: Update = {"error": "This step failed; try again, or reload the page."}
CROWDED = "the app is busy, its queue is full; try again in a minute."

HEAVY, LIGHT = 1, 2  # photos that are read at a time, previews that are made at a time
LANES = {
    "heavy": HEAVY,  # photos and files at full size: one after the other, since each may take a gigabyte
    "light": LIGHT,
    "film": 1,  # clips take minutes: one at a time, and photos need not wait for them
    "moment": 1,  # other moments of a clip, which is read up to there
    "aside": 16,  # what costs nothing waits for nobody
}

APART = ("film", "aside")  # lanes whose steps wait for none of their session, and none for them


class Crowded(Exception):  # noqa: N818  (it is not an error)
    """The queue is full."""


@dataclass(eq=False)
class Job:
    """One step: its lane, whether it has `begun`, how far it is (`update`), and its `end`."""

    lane: str
    name: str = field(default_factory=lambda: secrets.token_hex(8))
    begun: bool = False
    update: Update = field(default_factory=dict)
    end: "asyncio.Task[Update] | None" = None

    def run(self, work: Work) -> Update:
        """Return what the page is to show in the end; `update` follows what comes before that."""
        self.begun = True
        try:
            outcome = work()
            if isinstance(outcome, dict):
                return outcome
            for update in outcome:
                self.update = update
        except Exception as error:
            LOG.error("%s", without_tokens(sentence(error, "a step of a page")))
            return BROKEN
        return self.update


class Jobs:
    """The steps of all sessions, which keep their own as `jobs`. At most `waiting` wait for their turn."""

    def __init__(self, waiting: int, lanes: Mapping[str, int] = LANES) -> None:
        self._waiting = waiting
        self._lanes = {name: CapacityLimiter(count) for name, count in lanes.items()}
        self._queue: set[Job] = set()

    def start(self, jobs: dict[str, Job], lane: str, work: Work) -> Job:
        """Return the job that runs `work` when its lane is free, as one of a session's `jobs`. Raises Crowded."""
        for name in [name for name, job in jobs.items() if job.end is not None and job.end.done()][: -OF_ONE // 2]:
            del jobs[name]  # nobody has asked for it
        self._queue = {job for job in self._queue if not job.begun}
        if len(jobs) >= OF_ONE or len(self._queue) >= self._waiting:
            raise Crowded
        job, before = Job(lane), [] if lane in APART else [one.end for one in jobs.values() if one.lane not in APART]
        jobs[job.name] = job
        self._queue.add(job)
        job.end = asyncio.create_task(self._turn(job, work, [end for end in before if end is not None]))
        return job

    async def _turn(self, job: Job, work: Work, before: "list[asyncio.Task[Update]]") -> Update:
        """Run a job after those of its session that came before: none keeps a lane busy while it waits for another."""
        if before:
            await asyncio.wait(before)
        return await anyio.to_thread.run_sync(job.run, work, limiter=self._lanes[job.lane])

    async def told(self, jobs: dict[str, Job], job: Job) -> Update:
        """Return the end of a job, which is then forgotten, or after a while how far it is, with its name as `job`."""
        assert job.end is not None
        done, _ = await asyncio.wait({job.end}, timeout=WAIT)
        if not done:
            return {**(job.update if job.begun else QUEUED), "job": job.name}
        jobs.pop(job.name, None)
        return BROKEN if job.end.cancelled() else job.end.result()

    def forget(self, jobs: dict[str, Job]) -> None:
        """Take the jobs of a session that is closed out of the queue; those at work end by themselves."""
        for job in jobs.values():
            if not job.begun and job.end is not None:
                job.begun = job.end.cancel()
