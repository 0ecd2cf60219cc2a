"""FastAPI on uvicorn around ONNX Runtime: each request computed as it comes.

python fastapi_app.py PORT
"""

import sys

import uvicorn
from common import asked, session
from fastapi import FastAPI, Request, Response

try:
    from orjson import dumps
except ImportError:
    from json import dumps as _dumps

    def dumps(x):
        return _dumps(x).encode()


app, model = FastAPI(), session()


@app.post("/predict")
async def predict(request: Request) -> Response:
    (y,) = model.run(None, {"x": asked(await request.body())})
    return Response(dumps({"predictions": y.tolist()}), media_type="application/json")


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning", access_log=False)
