"""The queue of steps: who waits for whom, who does not, and how much waits at all."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("starlette", reason="the app needs the extra 'app'")

from cyclopean.app import jobs as steps
from cyclopean.app.jobs import Crowded, Job, Jobs


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "WAIT", 0.2)


def run(main: Callable[[], Coroutine[object, object, None]]) -> None:
    """Run `main` in a thread of its own: a browser of other tests keeps its loop running in this one."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: asyncio.run(main())).result()


def test_one_session_waits_for_itself_and_keeps_nobody_else_waiting():
    """Its steps follow each other in turn, and none holds a place for others while it waits."""
    stop, order = threading.Event(), []

    async def main() -> None:
        queue, mine, other = Jobs(100), dict[str, Job](), dict[str, Job]()
        slow = queue.start(mine, "heavy", lambda: {"done": stop.wait(20)})
        later = [queue.start(mine, "light", lambda n=n: order.append(n) or {"n": n}) for n in range(6)]
        begin = time.monotonic()
        for lane in ("light", "aside", "film"):
            job = queue.start(other, lane, lambda lane=lane: {"in": lane})
            assert await queue.told(other, job) == {"in": lane}
        film = queue.start(mine, "film", lambda: {"a": "film"})
        assert await queue.told(mine, film) == {"a": "film"}, "nor does a film wait"
        third = dict[str, Job]()
        queue.start(third, "film", lambda: {"done": stop.wait(20)})
        step = queue.start(third, "light", lambda: {"while": "filming"})
        assert await queue.told(third, step) == {"while": "filming"}, "nor anything for a film"
        assert time.monotonic() - begin < 15
        assert (await queue.told(mine, slow))["job"] == slow.name
        assert await queue.told(mine, later[0]) == {**steps.QUEUED, "job": later[0].name}
        assert order == []
        stop.set()
        while (told := await queue.told(mine, later[-1])) != {"n": 5}:
            assert told["job"] == later[-1].name
        assert order == [*range(6)]

    run(main)


def test_the_queue_has_an_end_and_who_leaves_leaves_it():
    stop = threading.Event()

    async def main() -> None:
        queue, mine, other = Jobs(3), dict[str, Job](), dict[str, Job]()
        first = queue.start(mine, "heavy", lambda: {"done": stop.wait(20)})
        await asyncio.sleep(0.2)
        assert first.begun
        waiting = [queue.start(mine, "heavy", dict) for _ in range(3)]
        with pytest.raises(Crowded):
            queue.start(other, "light", dict)
        queue.forget(mine)
        job = queue.start(other, "light", lambda: {"now": 1})
        assert await queue.told(other, job) == {"now": 1}
        stop.set()
        assert await queue.told(mine, first) == {"done": True}
        assert all([await queue.told(mine, one) == steps.BROKEN for one in waiting])
        many = dict[str, Job]()
        queue = Jobs(1000)
        for _ in range(steps.OF_ONE):
            queue.start(many, "light", dict)
        with pytest.raises(Crowded):
            queue.start(many, "light", dict)
        await asyncio.wait([one.end for one in many.values()])
        queue.start(many, "light", dict)
        assert len(many) <= steps.OF_ONE, "what nobody asked for is forgotten"

    run(main)


def test_progress_is_told_and_what_breaks_is_a_sentence(caplog: pytest.LogCaptureFixture):
    go = threading.Event()
    token = "x" * 32

    def film():
        yield {"busy": "Frame 1", "part": 0.5}
        go.wait(20)
        yield {"note": "done"}

    def broken() -> dict:
        raise OSError(5, "Input/output error", f"/tmp/{token}/a.png")

    async def main() -> None:
        queue, mine = Jobs(10), dict[str, Job]()
        job = queue.start(mine, "film", film)
        assert await queue.told(mine, job) == {"busy": "Frame 1", "part": 0.5, "job": job.name}
        go.set()
        assert await queue.told(mine, job) == {"note": "done"}
        assert mine == {}
        assert await queue.told(mine, queue.start(mine, "light", broken)) == steps.BROKEN

    run(main)
    (record,) = caplog.records
    assert "Input/output error" in record.getMessage()
    assert token not in caplog.text
