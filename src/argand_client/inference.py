"""The messages of the v2 inference protocol's gRPC service (KServe, Triton), without those of
management, which only a server needs."""

from __future__ import annotations

from functools import cache

from argand_client.wire import Messages

INFERENCE = """
package inference

ServerLiveRequest
ServerLiveResponse
  1 bool live
ServerReadyRequest
ServerReadyResponse
  1 bool ready
ModelReadyRequest
  1 string name
  2 string version
ModelReadyResponse
  1 bool ready
ServerMetadataRequest
ServerMetadataResponse
  1 string name
  2 string version
  3 string[] extensions
ModelMetadataRequest
  1 string name
  2 string version
ModelMetadataResponse
  1 string name
  2 string[] versions
  3 string platform
  4 ModelMetadataResponse.TensorMetadata[] inputs
  5 ModelMetadataResponse.TensorMetadata[] outputs
ModelMetadataResponse.TensorMetadata
  1 string name
  2 string datatype
  3 int64[] shape

InferParameter
  1 bool bool_param|parameter_choice
  2 int64 int64_param|parameter_choice
  3 string string_param|parameter_choice
  4 double double_param|parameter_choice
  5 uint64 uint64_param|parameter_choice
InferTensorContents
  1 bool[] bool_contents
  2 int32[] int_contents
  3 int64[] int64_contents
  4 uint32[] uint_contents
  5 uint64[] uint64_contents
  6 float[] fp32_contents
  7 double[] fp64_contents
  8 bytes[] bytes_contents
ModelInferRequest
  1 string model_name
  2 string model_version
  3 string id
  4 map<string,InferParameter> parameters
  5 ModelInferRequest.InferInputTensor[] inputs
  6 ModelInferRequest.InferRequestedOutputTensor[] outputs
  7 bytes[] raw_input_contents
ModelInferRequest.InferInputTensor
  1 string name
  2 string datatype
  3 int64[] shape
  4 map<string,InferParameter> parameters
  5 InferTensorContents contents
ModelInferRequest.InferRequestedOutputTensor
  1 string name
  2 map<string,InferParameter> parameters
ModelInferResponse
  1 string model_name
  2 string model_version
  3 string id
  4 map<string,InferParameter> parameters
  5 ModelInferResponse.InferOutputTensor[] outputs
  6 bytes[] raw_output_contents
ModelInferResponse.InferOutputTensor
  1 string name
  2 string datatype
  3 int64[] shape
  4 map<string,InferParameter> parameters
  5 InferTensorContents contents
ModelStreamInferResponse
  1 string error_message
  2 ModelInferResponse infer_response
"""

ERRORS = """
package google.rpc

Status
  1 int32 code
  2 string message
  3 .google.protobuf.Any[] details
BadRequest
  1 BadRequest.FieldViolation[] field_violations
BadRequest.FieldViolation
  1 string field
  2 string description
"""

ANY = """
package google.protobuf

Any
  1 string type_url
  2 bytes value
"""

BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
DETAILS = "grpc-status-details-bin"
"""The metadata in which an error names the field that is at fault."""


@cache
def client_messages() -> Messages:
    """What a client needs."""
    return Messages(
        {
            "google/protobuf/any.proto": ANY,
            "google/rpc/status.proto": ERRORS,
            "grpc_service.proto": INFERENCE,
        }
    )


__all__ = ["ANY", "BAD_REQUEST", "DETAILS", "ERRORS", "INFERENCE", "client_messages"]
