"""What users of gRPC's health checks and reflection ask: `grpc_uses.py HTTP GRPC FOLDER`."""

from __future__ import annotations

import sys

import grpc
from attempts import attempt
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

SERVING = health_pb2.HealthCheckResponse.SERVING
SERVICES = {
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
    "inference.GRPCInferenceService",
    "tensorflow.serving.ModelService",
    "tensorflow.serving.PredictionService",
}


def health(channel: grpc.Channel) -> None:
    """Of the server, a service and a model; of what there is not."""
    stub = health_pb2_grpc.HealthStub(channel)
    for name in ("", "tensorflow.serving.PredictionService", "digits"):
        assert stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=60).status == SERVING
    try:
        stub.Check(health_pb2.HealthCheckRequest(service="nothing"), timeout=60)
        raise AssertionError("a service that is not there is healthy")
    except grpc.RpcError as error:
        assert error.code() is grpc.StatusCode.NOT_FOUND
    watch = stub.Watch(health_pb2.HealthCheckRequest(service="nothing"))
    assert next(watch).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
    watch.cancel()
    watch = stub.Watch(health_pb2.HealthCheckRequest(service="digits"))
    assert next(watch).status == SERVING
    watch.cancel()


def reflection(channel: grpc.Channel) -> None:
    """Services by name, and a call by what they say of its messages."""
    database = ProtoReflectionDescriptorDatabase(channel)
    assert set(database.get_services()) == SERVICES
    pool = DescriptorPool(database)
    for name in SERVICES:
        assert pool.FindServiceByName(name).methods
    method = pool.FindServiceByName("inference.GRPCInferenceService").FindMethodByName("ServerLive")
    assert method.input_type.full_name == "inference.ServerLiveRequest"
    message = pool.FindMessageTypeByName("tensorflow.serving.PredictRequest")
    assert {f.name for f in message.fields} == {"model_spec", "inputs", "output_filter"}


def main(http: str, address: str, folder: str) -> None:
    """Ask a server."""
    with grpc.insecure_channel(address) as channel:
        attempt([("health", lambda: health(channel)), ("reflection", lambda: reflection(channel))])


if __name__ == "__main__":
    main(*sys.argv[1:])
