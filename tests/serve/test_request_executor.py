import asyncio
import threading

from pipeline.serve.request_executor import RequestExecutor


def test_what_comes_first_is_answered_first():
    answered, hold = [], threading.Event()

    async def requests():
        executor = RequestExecutor(workers=1)
        waiting = [asyncio.create_task(executor.run(hold.wait))]
        for number in range(20):
            waiting.append(asyncio.create_task(executor.run(answered.append, number)))
            await asyncio.sleep(0)
        hold.set()
        await asyncio.gather(*waiting)

    asyncio.run(requests())
    assert answered == list(range(20))
