"""Worker processes, under PyTorch's address; see `argand.data.worker`."""

from argand.data.worker import ExceptionWrapper
from argand.data.worker_info import WorkerInfo, get_worker_info

__all__ = ["ExceptionWrapper", "WorkerInfo", "get_worker_info"]
