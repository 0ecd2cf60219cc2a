"""Ray Serve around ONNX Runtime, with its batches.

python ray_app.py PORT
"""

import sys
import time

import ray
from ray import serve
from starlette.requests import Request

sys.path.insert(0, __file__.rsplit("/", 1)[0])


@serve.deployment(max_ongoing_requests=256)
class Served:
    def __init__(self):
        from common import session

        self.model = session()

    @serve.batch(max_batch_size=32, batch_wait_timeout_s=0.001)
    async def computed(self, rows):
        from common import batched

        return batched(lambda x: self.model.run(None, {"x": x})[0], rows)

    async def __call__(self, request: Request):
        from common import asked

        return {"predictions": await self.computed(asked(await request.body()))}


if __name__ == "__main__":
    ray.init(num_cpus=2, include_dashboard=False, logging_level="error")
    serve.start(http_options={"port": int(sys.argv[1])})
    serve.run(Served.bind(), route_prefix="/predict")
    while True:
        time.sleep(60)
