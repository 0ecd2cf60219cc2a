"""A client of `argand serve`, and of other servers of the v2 inference protocol.

It needs NumPy and nothing of Argand; with `grpc://` addresses grpcio and protobuf.
"""

from argand_client.client import AsyncClient, Client
from argand_client.errors import ServeError
from argand_client.signature import Signature, Tensor
from argand_client.status import Status

__all__ = ["AsyncClient", "Client", "ServeError", "Signature", "Status", "Tensor"]
