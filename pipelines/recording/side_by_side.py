"""Works for several orgs at once: what waits for the network runs in threads, everything else on the main thread.

So only the main thread touches dlt, the settings and the database, except that while it waits, a thread may compare an
org's second listing. One org's rows are compared and loaded as if it were the only one, while others wait for their
org's answers. Each org's work is a generator. What it yields is a function that waits for the network; it is sent what
that returned, or gets its exception.
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


def side_by_side(works: Mapping[str, Callable[[], Work[T]]]) -> Iterator[list[tuple[str, T | Exception]]]:
    """The result of each work, or the exception that ended it, by the org's name, in the order in which they end: those
    that have ended by the time at which there is nothing to do but wait, or AT_ONCE, together.

    At most AT_ONCE are begun and not ended. If the caller stops, so do the threads, after their current request."""
    pool = ThreadPoolExecutor(AT_ONCE, "org")
    not_begun = deque(works.items())
    order = {name: place for place, name in enumerate(works)}
    begun: dict[Future[Any], tuple[str, Work[T]]] = {}
    ended: list[tuple[str, T | Exception]] = []

    def go_on(name: str, work: Work[T], answered: Future[Any] | None = None) -> None:
        """Runs a work until it waits for the network again, or has ended."""
        with for_org(name):
            try:
                error = answered.exception() if answered else None
                waits = work.throw(error) if error else work.send(answered.result() if answered else None)
            except StopIteration as done:
                ended.append((name, done.value))
            except Exception as error:
                ended.append((name, error))
            else:
                begun[pool.submit(for_same_org(waits))] = name, work

    try:
        while not_begun or begun:
            if not_begun and len(begun) < AT_ONCE:
                name, work = not_begun.popleft()
                go_on(name, work())
                continue
            answered = wait(begun, timeout=0).done
            if ended and (not answered or len(ended) >= AT_ONCE):
                yield ended
                ended = []
                continue
            answered = answered or wait(begun, return_when=FIRST_COMPLETED).done
            for future in sorted(answered, key=lambda one: order[begun[one][0]]):
                go_on(*begun.pop(future), future)
        if ended:
            yield ended
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def alone(work: Work[T]) -> T:
    """The result of one work, where there are no others."""
    answer = None
    while True:
        try:
            waits = work.send(answer)
        except StopIteration as done:
            result: T = done.value
            return result
        answer = waits()
