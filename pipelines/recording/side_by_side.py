"""Works for several orgs at once: what waits for the network runs in threads, everything else on the main thread.

So only the main thread touches the database, dlt and the settings: one org's rows are compared and loaded as if it were
the only one, while others wait for their org's answers. Each org's work is a generator. What it yields is a function
that waits for the network; it is sent what that returned, or gets its exception.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, Final, TypeVar

from pipelines.org_log import for_org, for_same_org

T = TypeVar("T")
Work = Generator[Callable[[], Any], Any, T]

# 20 orgs of 300 ms a page are then limited by the processor. Each has two listings, or eight requests for details, in
# flight, and its pages in memory and on disk: more would cost memory without being faster.
AT_ONCE: Final = 8


def side_by_side(works: Mapping[str, Callable[[], Work[T]]]) -> Iterator[tuple[str, T | Exception]]:
    """The result of each work, or the exception that ended it, by the org's name, in the order in which they end.

    At most AT_ONCE are begun and not ended. If the caller stops, so do the threads, after their current request."""
    pool = ThreadPoolExecutor(AT_ONCE, "org")
    waiting = deque(works.items())
    order = {name: place for place, name in enumerate(works)}
    begun: dict[Future[Any], tuple[str, Work[T]]] = {}
    try:
        while waiting or begun:
            if waiting and len(begun) < AT_ONCE:
                name, work = waiting.popleft()
                ended = _go_on(name, work(), None, pool, begun)
                if ended:
                    yield ended
                continue
            done = wait(begun, return_when=FIRST_COMPLETED).done
            for future in sorted(done, key=lambda one: order[begun[one][0]]):
                name, going = begun.pop(future)
                ended = _go_on(name, going, future, pool, begun)
                if ended:
                    yield ended
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _go_on(
    name: str,
    work: Work[T],
    answered: Future[Any] | None,
    pool: ThreadPoolExecutor,
    begun: dict[Future[Any], tuple[str, Work[T]]],
) -> tuple[str, T | Exception] | None:
    """Runs a work until it waits for the network again; returns its result if it has ended."""
    with for_org(name):
        try:
            error = answered.exception() if answered else None
            waits = work.throw(error) if error else work.send(answered.result() if answered else None)
        except StopIteration as ended:
            return name, ended.value
        except Exception as error:
            return name, error
        begun[pool.submit(for_same_org(waits))] = name, work
    return None
