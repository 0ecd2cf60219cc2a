"""LitServe around ONNX Runtime, with its batches.

python litserve_app.py PORT
"""

import sys

import litserve
import numpy as np
from common import DTYPE, batched, session


class Served(litserve.LitAPI):
    def setup(self, device):
        self.model = session()

    def decode_request(self, request):
        return np.array(request["instances"], DTYPE)

    def batch(self, rows):
        return rows

    def unbatch(self, found):
        return found

    def predict(self, rows):
        return batched(lambda x: self.model.run(None, {"x": x})[0], list(rows))

    def encode_response(self, found):
        return {"predictions": found}


if __name__ == "__main__":
    api = Served(max_batch_size=32, batch_timeout=0.001)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1, timeout=30)
    server.run(port=int(sys.argv[1]), log_level="warning", generate_client_file=False)
