"""BentoML around ONNX Runtime, with its batches: `bentoml serve bento_app:Served`."""

from __future__ import annotations

import bentoml
import numpy as np
from common import DTYPE, batched, session


@bentoml.service(workers=1, traffic={"timeout": 30}, logging={"access": {"enabled": False}})
class Served:
    def __init__(self) -> None:
        self.model = session()

    @bentoml.api(route="/predict")
    async def predict(self, instances: list) -> dict:
        found = batched(lambda x: self.model.run(None, {"x": x})[0], [np.array(instances, DTYPE)])
        return {"predictions": found[0]}
