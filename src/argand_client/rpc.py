"""The v2 protocol over gRPC. Needs the package grpcio."""

from __future__ import annotations

from typing import Any

from argand_client.datatypes import from_bytes, name_of, to_bytes
from argand_client.errors import failed
from argand_client.signature import Arrays, Signature, Tensor
from argand_client.status import Status
from argand_client.transport import Target

_SERVICE = "inference.GRPCInferenceService"
_PREDICTION = "tensorflow.serving.PredictionService"
_BY_NUMBER = {s.grpc: s for s in reversed(Status)}


class Rpc:
    """Asks over gRPC, one connection for all threads."""

    def __init__(
        self,
        address: str,
        metadata: dict[str, str],
        *,
        secure: bool = False,
        certificates: bytes | None = None,
        identity: tuple[bytes, ...] | None = None,
    ) -> None:
        try:
            import grpc
        except ImportError:
            raise ImportError(
                "a grpc:// address needs grpcio: pip install grpcio protobuf"
            ) from None
        from argand_client.definitions import messages

        self._error: Any = grpc.RpcError
        self._messages = messages()
        self._metadata = tuple(metadata.items())
        options = [
            ("grpc.max_receive_message_length", -1),
            ("grpc.max_send_message_length", -1),
            ("grpc.enable_retries", 0),  # ours know the deadline and 429
        ]
        if secure:
            chain, key = identity or (None, None)
            trusted = grpc.ssl_channel_credentials(certificates, key, chain)
            self._channel = grpc.secure_channel(address, trusted, options)
        else:
            self._channel = grpc.insecure_channel(address, options)
        self._calls = {
            m.name: self._call(service, m)
            for service in (_SERVICE, _PREDICTION)
            for m in self._messages.methods(service)
            if not m.many_requests
        }

    def _call(self, service: str, method: Any) -> Any:
        return self._channel.unary_unary(
            f"/{service}/{method.name}",
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.response.FromString,
        )

    # -- the protocol --------------------------------------------------------------------------

    def infer(self, target: Target, inputs: Arrays, seconds: float | None) -> Arrays:
        """The outputs by name."""
        request = self._made("ModelInferRequest", model_name=target.model)
        if target.version is not None:
            request.model_version = str(target.version)
        if target.signature is not None:
            request.parameters["signature_name"].string_param = target.signature
        for name, array in inputs.items():
            request.inputs.add(name=name, datatype=name_of(array.dtype), shape=array.shape)
            request.raw_input_contents.append(to_bytes(array))
        answer = self._ask("ModelInfer", request, seconds)
        try:
            return {
                o.name: from_bytes(raw, o.datatype, o.shape)
                for o, raw in zip(answer.outputs, answer.raw_output_contents, strict=True)
            }
        except ValueError as error:
            raise failed(Status.INTERNAL, f"the server's answer can't be read: {error}") from None

    def signature(self, target: Target, seconds: float | None) -> Signature:
        """What a signature takes and gives."""
        named = () if target.signature is None else (("signature-name", target.signature),)
        found = self._ask(
            "ModelMetadata", self._named("ModelMetadataRequest", target), seconds, named
        )
        inputs, outputs = (
            [Tensor(x.name, x.datatype, tuple(x.shape)) for x in part]
            for part in (found.inputs, found.outputs)
        )
        return Signature(target.signature, inputs, outputs)

    def signatures(self, target: Target, seconds: float | None) -> list[str]:
        """The names of a model's signatures, which TensorFlow Serving's protocol tells."""
        request = self._messages("tensorflow.serving.GetModelMetadataRequest")()
        request.model_spec.name = target.model
        if target.version is not None:
            request.model_spec.version.value = target.version
        request.metadata_field.append("signature_def")
        packed = self._ask("GetModelMetadata", request, seconds).metadata["signature_def"]
        kind = self._messages("tensorflow.serving.SignatureDefMap")
        return list(kind.FromString(packed.value).signature_def)

    def models(self, seconds: float | None) -> list[str]:
        """The models of the server."""
        found = self._ask("RepositoryIndex", self._made("RepositoryIndexRequest"), seconds)
        return list(dict.fromkeys(model.name for model in found.models))

    def is_ready(self, target: Target | None, seconds: float | None) -> bool:
        """Whether a model, or the server, takes requests."""
        if target is None:
            ready = self._ask("ServerReady", self._made("ServerReadyRequest"), seconds).ready
        else:
            request = self._named("ModelReadyRequest", target)
            ready = self._ask("ModelReady", request, seconds).ready
        return bool(ready)

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    # -- messages ------------------------------------------------------------------------------

    def _made(self, kind: str, **fields: Any) -> Any:
        return self._messages(f"inference.{kind}")(**fields)

    def _named(self, kind: str, target: Target) -> Any:
        version = "" if target.version is None else str(target.version)
        return self._made(kind, name=target.model, version=version)

    def _ask(
        self, method: str, request: Any, seconds: float | None, metadata: tuple[Any, ...] = ()
    ) -> Any:
        try:
            return self._calls[method](
                request, timeout=seconds, metadata=(*self._metadata, *metadata)
            )
        except self._error as error:
            raise self._failed(error) from None

    def _failed(self, error: Any) -> Any:
        """The error that a call tells, with the field of its google.rpc.BadRequest."""
        from argand_client.definitions import BAD_REQUEST, DETAILS

        status = _BY_NUMBER.get(error.code().value[0], Status.INTERNAL)
        trailing = dict(error.trailing_metadata() or ())
        field = None
        if DETAILS in trailing:
            details = self._messages("google.rpc.Status").FromString(trailing[DETAILS]).details
            bad = self._messages("google.rpc.BadRequest")
            found = [bad.FromString(d.value) for d in details if d.type_url == BAD_REQUEST]
            fields = [v.field for b in found for v in b.field_violations]
            field = fields[0] if fields else None
        after = trailing.get("grpc-retry-pushback-ms")
        return failed(
            status,
            error.details() or status.name,
            field=field,
            retry_after=None if after is None else int(after) / 1000,
        )


__all__ = ["Rpc"]
