"""Argand's server.

python argand_app.py PORT [WORKERS]
"""

import os
import sys
from pathlib import Path

from argand.serve import Engine
from argand.serve.server import Server

if __name__ == "__main__":
    folder = Path(os.environ["SERVED_FOLDER"]) / "models" / os.environ["SERVED_MODEL"]
    workers = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    Server(Engine([folder], workers=workers), port=int(sys.argv[1])).run()
