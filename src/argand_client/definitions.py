"""The messages and services of gRPC's protocols, as far as they are served."""

from __future__ import annotations

from functools import cache

from argand_client.wire import Messages

BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo"
DETAILS = "grpc-status-details-bin"
"""The metadata in which an error names the field that is at fault, and when to ask again."""

# -- KServe and Triton -----------------------------------------------------------------------------

_INFERENCE = """
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

enum DataType
  0 TYPE_INVALID
  1 TYPE_BOOL
  2 TYPE_UINT8
  3 TYPE_UINT16
  4 TYPE_UINT32
  5 TYPE_UINT64
  6 TYPE_INT8
  7 TYPE_INT16
  8 TYPE_INT32
  9 TYPE_INT64
  10 TYPE_FP16
  11 TYPE_FP32
  12 TYPE_FP64
  13 TYPE_STRING
  14 TYPE_BF16
ModelInput
  1 string name
  2 DataType data_type
  4 int64[] dims
  8 bool optional
ModelOutput
  1 string name
  2 DataType data_type
  3 int64[] dims
ModelVersionPolicy
  1 ModelVersionPolicy.Latest latest|policy_choice
  2 ModelVersionPolicy.All all|policy_choice
  3 ModelVersionPolicy.Specific specific|policy_choice
ModelVersionPolicy.Latest
  1 uint32 num_versions
ModelVersionPolicy.All
ModelVersionPolicy.Specific
  1 int64[] versions
ModelDynamicBatching
  1 int32[] preferred_batch_size
  2 uint64 max_queue_delay_microseconds
  3 bool preserve_ordering
ModelTransactionPolicy
  1 bool decoupled
ModelConfig
  1 string name
  2 string platform
  3 ModelVersionPolicy version_policy
  4 int32 max_batch_size
  5 ModelInput[] input
  6 ModelOutput[] output
  11 ModelDynamicBatching dynamic_batching
  17 string backend
  19 ModelTransactionPolicy model_transaction_policy
ModelConfigRequest
  1 string name
  2 string version
ModelConfigResponse
  1 ModelConfig config

ModelStatisticsRequest
  1 string name
  2 string version
ModelStatisticsResponse
  1 ModelStatistics[] model_stats
ModelStatistics
  1 string name
  2 string version
  3 uint64 last_inference
  4 uint64 inference_count
  5 uint64 execution_count
  6 InferStatistics inference_stats
  7 InferBatchStatistics[] batch_stats
InferStatistics
  1 StatisticDuration success
  2 StatisticDuration fail
  3 StatisticDuration queue
  4 StatisticDuration compute_input
  5 StatisticDuration compute_infer
  6 StatisticDuration compute_output
  7 StatisticDuration cache_hit
  8 StatisticDuration cache_miss
StatisticDuration
  1 uint64 count
  2 uint64 ns
InferBatchStatistics
  1 uint64 batch_size
  2 StatisticDuration compute_input
  3 StatisticDuration compute_infer
  4 StatisticDuration compute_output

ModelRepositoryParameter
  1 bool bool_param|parameter_choice
  2 int64 int64_param|parameter_choice
  3 string string_param|parameter_choice
  4 bytes bytes_param|parameter_choice
RepositoryIndexRequest
  1 string repository_name
  2 bool ready
RepositoryIndexResponse
  1 RepositoryIndexResponse.ModelIndex[] models
RepositoryIndexResponse.ModelIndex
  1 string name
  2 string version
  3 string state
  4 string reason
RepositoryModelLoadRequest
  1 string repository_name
  2 string model_name
  3 map<string,ModelRepositoryParameter> parameters
RepositoryModelLoadResponse
RepositoryModelUnloadRequest
  1 string repository_name
  2 string model_name
  3 map<string,ModelRepositoryParameter> parameters
RepositoryModelUnloadResponse

SystemSharedMemoryStatusRequest
  1 string name
SystemSharedMemoryStatusResponse
  1 map<string,SystemSharedMemoryStatusResponse.RegionStatus> regions
SystemSharedMemoryStatusResponse.RegionStatus
  1 string name
  2 string key
  3 uint64 offset
  4 uint64 byte_size
SystemSharedMemoryRegisterRequest
  1 string name
  2 string key
  3 uint64 offset
  4 uint64 byte_size
SystemSharedMemoryRegisterResponse
SystemSharedMemoryUnregisterRequest
  1 string name
SystemSharedMemoryUnregisterResponse
CudaSharedMemoryStatusRequest
  1 string name
CudaSharedMemoryStatusResponse
  1 map<string,CudaSharedMemoryStatusResponse.RegionStatus> regions
CudaSharedMemoryStatusResponse.RegionStatus
  1 string name
  2 uint64 device_id
  3 uint64 byte_size
CudaSharedMemoryRegisterRequest
  1 string name
  2 bytes raw_handle
  3 int64 device_id
  4 uint64 byte_size
CudaSharedMemoryRegisterResponse
CudaSharedMemoryUnregisterRequest
  1 string name
CudaSharedMemoryUnregisterResponse
TraceSettingRequest
  1 map<string,TraceSettingRequest.SettingValue> settings
  2 string model_name
TraceSettingRequest.SettingValue
  1 string[] value
TraceSettingResponse
  1 map<string,TraceSettingResponse.SettingValue> settings
TraceSettingResponse.SettingValue
  1 string[] value
LogSettingsRequest
  1 map<string,LogSettingsRequest.SettingValue> settings
LogSettingsRequest.SettingValue
  1 bool bool_param|parameter_choice
  2 uint32 uint32_param|parameter_choice
  3 string string_param|parameter_choice
LogSettingsResponse
  1 map<string,LogSettingsResponse.SettingValue> settings
LogSettingsResponse.SettingValue
  1 bool bool_param|parameter_choice
  2 uint32 uint32_param|parameter_choice
  3 string string_param|parameter_choice

service GRPCInferenceService
  ServerLive ServerLiveRequest ServerLiveResponse
  ServerReady ServerReadyRequest ServerReadyResponse
  ModelReady ModelReadyRequest ModelReadyResponse
  ServerMetadata ServerMetadataRequest ServerMetadataResponse
  ModelMetadata ModelMetadataRequest ModelMetadataResponse
  ModelInfer ModelInferRequest ModelInferResponse
  ModelStreamInfer stream ModelInferRequest stream ModelStreamInferResponse
  ModelConfig ModelConfigRequest ModelConfigResponse
  ModelStatistics ModelStatisticsRequest ModelStatisticsResponse
  RepositoryIndex RepositoryIndexRequest RepositoryIndexResponse
  RepositoryModelLoad RepositoryModelLoadRequest RepositoryModelLoadResponse
  RepositoryModelUnload RepositoryModelUnloadRequest RepositoryModelUnloadResponse
  SystemSharedMemoryStatus SystemSharedMemoryStatusRequest SystemSharedMemoryStatusResponse
  SystemSharedMemoryRegister SystemSharedMemoryRegisterRequest SystemSharedMemoryRegisterResponse
  SystemSharedMemoryUnregister SystemSharedMemoryUnregisterRequest SystemSharedMemoryUnregisterResponse
  CudaSharedMemoryStatus CudaSharedMemoryStatusRequest CudaSharedMemoryStatusResponse
  CudaSharedMemoryRegister CudaSharedMemoryRegisterRequest CudaSharedMemoryRegisterResponse
  CudaSharedMemoryUnregister CudaSharedMemoryUnregisterRequest CudaSharedMemoryUnregisterResponse
  TraceSetting TraceSettingRequest TraceSettingResponse
  LogSettings LogSettingsRequest LogSettingsResponse
"""  # noqa: E501

# -- TensorFlow Serving ----------------------------------------------------------------------------

_TENSORFLOW = """
package tensorflow

enum DataType
  0 DT_INVALID
  1 DT_FLOAT
  2 DT_DOUBLE
  3 DT_INT32
  4 DT_UINT8
  5 DT_INT16
  6 DT_INT8
  7 DT_STRING
  8 DT_COMPLEX64
  9 DT_INT64
  10 DT_BOOL
  14 DT_BFLOAT16
  17 DT_UINT16
  18 DT_COMPLEX128
  19 DT_HALF
  22 DT_UINT32
  23 DT_UINT64
  24 DT_FLOAT8_E5M2
  25 DT_FLOAT8_E4M3FN
TensorShapeProto
  2 TensorShapeProto.Dim[] dim
  3 bool unknown_rank
TensorShapeProto.Dim
  1 int64 size
  2 string name
TensorProto
  1 DataType dtype
  2 TensorShapeProto tensor_shape
  3 int32 version_number
  4 bytes tensor_content
  5 float[] float_val
  6 double[] double_val
  7 int32[] int_val
  8 bytes[] string_val
  9 float[] scomplex_val
  10 int64[] int64_val
  11 bool[] bool_val
  12 double[] dcomplex_val
  13 int32[] half_val
  16 uint32[] uint32_val
  17 uint64[] uint64_val
  18 bytes float8_val
BytesList
  1 bytes[] value
FloatList
  1 float[] value
Int64List
  1 int64[] value
Feature
  1 BytesList bytes_list|kind
  2 FloatList float_list|kind
  3 Int64List int64_list|kind
Features
  1 map<string,Feature> feature
Example
  1 Features features
TensorInfo
  1 string name
  2 DataType dtype
  3 TensorShapeProto tensor_shape
SignatureDef
  1 map<string,TensorInfo> inputs
  2 map<string,TensorInfo> outputs
  3 string method_name
"""

_SERVING = """
package tensorflow.serving

ModelSpec
  1 string name
  2 .google.protobuf.Int64Value version|version_choice
  3 string signature_name
  4 string version_label|version_choice
PredictRequest
  1 ModelSpec model_spec
  2 map<string,.tensorflow.TensorProto> inputs
  3 string[] output_filter
PredictResponse
  1 map<string,.tensorflow.TensorProto> outputs
  2 ModelSpec model_spec
ExampleList
  1 .tensorflow.Example[] examples
ExampleListWithContext
  1 .tensorflow.Example[] examples
  2 .tensorflow.Example context
Input
  1 ExampleList example_list|kind
  2 ExampleListWithContext example_list_with_context|kind
Class
  1 string label
  2 float score
Classifications
  1 Class[] classes
ClassificationResult
  1 Classifications[] classifications
ClassificationRequest
  1 ModelSpec model_spec
  2 Input input
ClassificationResponse
  1 ClassificationResult result
  2 ModelSpec model_spec
Regression
  1 float value
RegressionResult
  1 Regression[] regressions
RegressionRequest
  1 ModelSpec model_spec
  2 Input input
RegressionResponse
  1 RegressionResult result
  2 ModelSpec model_spec
InferenceTask
  1 ModelSpec model_spec
  2 string method_name
MultiInferenceRequest
  1 InferenceTask[] tasks
  2 Input input
InferenceResult
  1 ModelSpec model_spec
  2 ClassificationResult classification_result|result
  3 RegressionResult regression_result|result
MultiInferenceResponse
  1 InferenceResult[] results
SignatureDefMap
  1 map<string,.tensorflow.SignatureDef> signature_def
GetModelMetadataRequest
  1 ModelSpec model_spec
  2 string[] metadata_field
GetModelMetadataResponse
  1 ModelSpec model_spec
  2 map<string,.google.protobuf.Any> metadata

enum ModelVersionStatus.State
  0 UNKNOWN
  10 START
  20 LOADING
  30 AVAILABLE
  40 UNLOADING
  50 END
StatusProto
  1 int32 error_code
  2 string error_message
ModelVersionStatus
  1 int64 version
  2 ModelVersionStatus.State state
  3 StatusProto status
GetModelStatusRequest
  1 ModelSpec model_spec
GetModelStatusResponse
  1 ModelVersionStatus[] model_version_status
FileSystemStoragePathSourceConfig.ServableVersionPolicy
  100 FileSystemStoragePathSourceConfig.ServableVersionPolicy.Latest latest|policy_choice
  101 FileSystemStoragePathSourceConfig.ServableVersionPolicy.All all|policy_choice
  102 FileSystemStoragePathSourceConfig.ServableVersionPolicy.Specific specific|policy_choice
FileSystemStoragePathSourceConfig.ServableVersionPolicy.Latest
  1 uint32 num_versions
FileSystemStoragePathSourceConfig.ServableVersionPolicy.All
FileSystemStoragePathSourceConfig.ServableVersionPolicy.Specific
  1 int64[] versions
ModelConfig
  1 string name
  2 string base_path
  4 string model_platform
  7 FileSystemStoragePathSourceConfig.ServableVersionPolicy model_version_policy
  8 map<string,int64> version_labels
ModelConfigList
  1 ModelConfig[] config
ModelServerConfig
  1 ModelConfigList model_config_list|config
  2 .google.protobuf.Any custom_model_config|config
ReloadConfigRequest
  1 ModelServerConfig config
  2 string[] metric_names
ReloadConfigResponse
  1 StatusProto status

service PredictionService
  Classify ClassificationRequest ClassificationResponse
  Regress RegressionRequest RegressionResponse
  Predict PredictRequest PredictResponse
  MultiInference MultiInferenceRequest MultiInferenceResponse
  GetModelMetadata GetModelMetadataRequest GetModelMetadataResponse
service ModelService
  GetModelStatus GetModelStatusRequest GetModelStatusResponse
  HandleReloadConfigRequest ReloadConfigRequest ReloadConfigResponse
"""

_WRAPPERS = """
package google.protobuf

Int64Value
  1 int64 value
"""

# -- gRPC's own ------------------------------------------------------------------------------------

_ERRORS = """
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
RetryInfo
  1 .google.protobuf.Duration retry_delay
"""

_DURATION = """
package google.protobuf

Duration
  1 int64 seconds
  2 int32 nanos
"""

_ANY = """
package google.protobuf

Any
  1 string type_url
  2 bytes value
"""

_HEALTH = """
package grpc.health.v1

enum HealthCheckResponse.ServingStatus
  0 UNKNOWN
  1 SERVING
  2 NOT_SERVING
  3 SERVICE_UNKNOWN
HealthCheckRequest
  1 string service
HealthCheckResponse
  1 HealthCheckResponse.ServingStatus status
service Health
  Check HealthCheckRequest HealthCheckResponse
  Watch HealthCheckRequest stream HealthCheckResponse
"""

_REFLECTION = """
package grpc.reflection.{version}

ExtensionRequest
  1 string containing_type
  2 int32 extension_number
ServerReflectionRequest
  1 string host
  3 string file_by_filename|message_request
  4 string file_containing_symbol|message_request
  5 ExtensionRequest file_containing_extension|message_request
  6 string all_extension_numbers_of_type|message_request
  7 string list_services|message_request
FileDescriptorResponse
  1 bytes[] file_descriptor_proto
ServiceResponse
  1 string name
ListServiceResponse
  1 ServiceResponse[] service
ErrorResponse
  1 int32 error_code
  2 string error_message
ServerReflectionResponse
  1 string valid_host
  2 ServerReflectionRequest original_request
  4 FileDescriptorResponse file_descriptor_response|message_response
  6 ListServiceResponse list_services_response|message_response
  7 ErrorResponse error_response|message_response
service ServerReflection
  ServerReflectionInfo stream ServerReflectionRequest stream ServerReflectionResponse
"""


@cache
def messages() -> Messages:
    """The messages and services, made when they are first asked for."""
    return Messages(
        {
            "google/protobuf/any.proto": _ANY,
            "google/protobuf/duration.proto": _DURATION,
            "google/protobuf/wrappers.proto": _WRAPPERS,
            "google/rpc/status.proto": _ERRORS,
            "grpc_service.proto": _INFERENCE,
            "tensorflow/core/framework/tensorflow.proto": _TENSORFLOW,
            "tensorflow_serving/apis/serving.proto": _SERVING,
            "grpc/health/v1/health.proto": _HEALTH,
            "grpc/reflection/v1/reflection.proto": _REFLECTION.format(version="v1"),
            "grpc/reflection/v1alpha/reflection.proto": _REFLECTION.format(version="v1alpha"),
        }
    )


__all__ = ["BAD_REQUEST", "DETAILS", "RETRY_INFO", "messages"]
