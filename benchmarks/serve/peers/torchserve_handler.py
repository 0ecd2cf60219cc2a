"""A handler of TorchServe around ONNX Runtime, with its batches."""

import json

from common import asked, batched, session


class Served:
    def initialize(self, context):
        self.model = session()

    def handle(self, data, context):
        rows = []
        for request in data:
            body = request.get("body") or request.get("data")
            body = json.dumps(body).encode() if isinstance(body, dict) else bytes(body)
            rows.append(asked(body))
        found = batched(lambda x: self.model.run(None, {"x": x})[0], rows)
        return [{"predictions": y} for y in found]


_service = Served()


def handle(data, context):
    if not hasattr(_service, "model"):
        _service.initialize(context)
    return None if data is None else _service.handle(data, context)
