"""gRPC: TensorFlow Serving's services, those of KServe and Triton, health and reflection."""

from argand.serve.grpc.server import GrpcServer, Record, start

__all__ = ["GrpcServer", "Record", "start"]
