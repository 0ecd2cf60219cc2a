"""The files of each target."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from argand.base.errors import ArgumentError
from argand.serve.deploy.container import (
    CACHE,
    GRPC_PORT,
    PORT,
    USER,
    compose,
    dockerfile,
    ignored,
    requirements,
)
from argand.serve.deploy.plan import TARGETS, Plan
from argand.serve.deploy.yaml import Tagged, dump

Files = dict[str, str | Path]
"""Texts, or files to copy, by their paths below the output's folder."""


def files_for(plan: Plan, target: str) -> Files:
    """The files that deploy a plan to one of `TARGETS`."""
    if target not in TARGETS:
        raise ArgumentError(f"there is no target {target!r}; there are {', '.join(TARGETS)}")
    return {plan.stored: plan.model, **_MAKERS[target](plan)}


def _image(plan: Plan, profile: str | None = None, port: int = PORT) -> Files:
    return {
        "Dockerfile": dockerfile(plan, profile, port),
        ".dockerignore": ignored(),
        "requirements.txt": requirements(*plan.packages),
    }


def _docker(plan: Plan) -> Files:
    return {**_image(plan), "compose.yaml": compose(plan)}


# -- KServe ----------------------------------------------------------------------------------------


def _probe(path: str, **times: int) -> dict[str, Any]:
    return {"httpGet": {"path": path, "port": PORT}, **times}


def _kserve(plan: Plan) -> Files:
    # only fields that Knative takes as well, which KServe runs on in its serverless mode: neither
    # startupProbe nor terminationGracePeriodSeconds
    bounds = {"cpu": str(plan.cpus), "memory": plan.memory}
    container = {
        "name": "kserve-container",
        "image": plan.tag,
        "ports": [{"name": "http1", "containerPort": PORT, "protocol": "TCP"}],
        "resources": {"requests": bounds, "limits": bounds},
        # a server that loads its model is alive and not ready
        "readinessProbe": _probe("/v2/health/ready", periodSeconds=5, timeoutSeconds=3),
        "livenessProbe": _probe(
            "/v2/health/live", initialDelaySeconds=20, periodSeconds=10, timeoutSeconds=3
        ),
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [
            {"name": "cache", "mountPath": CACHE},
            {"name": "temporary", "mountPath": "/tmp"},
        ],
    }
    service = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": plan.name, "labels": {"app.kubernetes.io/name": plan.name}},
        "spec": {
            "predictor": {
                "minReplicas": plan.replicas,
                "maxReplicas": plan.most_replicas,
                "timeout": 60,
                "containers": [container],
                "volumes": [
                    {"name": "cache", "emptyDir": {}},
                    {"name": "temporary", "emptyDir": {}},
                ],
            }
        },
    }
    comment = (
        f"docker build --tag {plan.tag} . && docker push {plan.tag}\n"
        "kubectl apply --filename inferenceservice.yaml"
    )
    return {**_image(plan, "kserve"), "inferenceservice.yaml": dump(service, comment)}


# -- Vertex AI -------------------------------------------------------------------------------------


def _vertex(plan: Plan) -> Files:
    upload = {
        "--display-name": plan.name,
        "--container-image-uri": plan.tag,
        "--container-ports": [PORT],
        "--container-grpc-ports": [GRPC_PORT],
        "--container-predict-route": "/predict",
        "--container-health-route": "/health",
    }
    deploy = {
        "--display-name": plan.name,
        "--machine-type": f"n1-standard-{_at_least(plan.cpus, (2, 4, 8, 16, 32))}",
        "--min-replica-count": plan.replicas,
        "--max-replica-count": plan.most_replicas,
        "--traffic-split": {"0": 100},
    }
    return {
        **_image(plan, "vertex"),
        "upload.yaml": dump(
            upload, "gcloud ai models upload --region REGION --flags-file upload.yaml"
        ),
        "deploy.yaml": dump(
            deploy,
            "gcloud ai endpoints deploy-model ENDPOINT --model MODEL --region REGION "
            "--flags-file deploy.yaml",
        ),
    }


def _at_least(wanted: int, sizes: tuple[int, ...]) -> int:
    return next((size for size in sizes if size >= wanted), sizes[-1])


# -- SageMaker -------------------------------------------------------------------------------------


def _sagemaker(plan: Plan) -> Files:
    kinds = {2: "large", 4: "xlarge", 8: "2xlarge", 16: "4xlarge", 48: "12xlarge"}
    cpus = _at_least(max(plan.cpus, -(-plan.mebibytes // 4096)), tuple(kinds))  # 4 GiB a processor
    text = "String"
    template = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"An endpoint of the model {plan.name}",
        "Parameters": {
            "Image": {"Type": text, "Description": f"the address of {plan.tag} in ECR"},
            "RoleArn": {"Type": text, "Description": "the role that may read the image"},
            "InstanceType": {"Type": text, "Default": f"ml.m5.{kinds[cpus]}"},
        },
        "Resources": {
            "Model": {
                "Type": "AWS::SageMaker::Model",
                "Properties": {
                    "ExecutionRoleArn": Tagged("!Ref", "RoleArn"),
                    "EnableNetworkIsolation": True,
                    "PrimaryContainer": {"Image": Tagged("!Ref", "Image")},
                },
            },
            "Configuration": {
                "Type": "AWS::SageMaker::EndpointConfig",
                "Properties": {
                    "ProductionVariants": [
                        {
                            "VariantName": "AllTraffic",
                            "ModelName": Tagged("!GetAtt", "Model.ModelName"),
                            "InstanceType": Tagged("!Ref", "InstanceType"),
                            "InitialInstanceCount": plan.replicas,
                            "InitialVariantWeight": 1,
                            "ContainerStartupHealthCheckTimeoutInSeconds": 300,
                        }
                    ]
                },
            },
            "Endpoint": {
                "Type": "AWS::SageMaker::Endpoint",
                "Properties": {
                    "EndpointName": plan.name,
                    "EndpointConfigName": Tagged("!GetAtt", "Configuration.EndpointConfigName"),
                },
            },
        },
        "Outputs": {"EndpointName": {"Value": Tagged("!GetAtt", "Endpoint.EndpointName")}},
    }
    comment = (
        f"aws cloudformation deploy --template-file endpoint.yaml --stack-name {plan.name} \\\n"
        "  --parameter-overrides Image=ADDRESS RoleArn=ROLE"
    )
    return {**_image(plan, "sagemaker"), "endpoint.yaml": dump(template, comment)}


# -- Azure ML --------------------------------------------------------------------------------------


def _azure(plan: Plan) -> Files:
    kinds = {2: "DS2", 4: "DS3", 8: "DS4", 16: "DS5"}
    cpus = _at_least(max(plan.cpus, -(-plan.mebibytes // 3584)), tuple(kinds))  # 3.5 GiB each
    schema = "https://azuremlschemas.azureedge.net/latest/managedOnline{}.schema.json"
    port = 5001
    times = {"period": 10, "timeout": 3, "success_threshold": 1, "failure_threshold": 30}
    endpoint = {"$schema": schema.format("Endpoint"), "name": plan.name, "auth_mode": "key"}
    deployment = {
        "$schema": schema.format("Deployment"),
        "name": "blue",
        "endpoint_name": plan.name,
        "environment": {
            "name": plan.name,
            "image": plan.tag,
            "inference_config": {
                "liveness_route": {"port": port, "path": "/v2/health/live"},
                "readiness_route": {"port": port, "path": "/v2/health/ready"},
                "scoring_route": {"port": port, "path": "/score"},
            },
        },
        "instance_type": f"Standard_{kinds[cpus]}_v2",
        "instance_count": plan.replicas,
        "request_settings": {
            "request_timeout_ms": 60_000,
            "max_concurrent_requests_per_instance": 64,
        },
        "liveness_probe": {"initial_delay": 10, **times},
        "readiness_probe": {"initial_delay": 5, **times},
    }
    return {
        **_image(plan, "azure", port),
        "endpoint.yaml": dump(endpoint, "az ml online-endpoint create --file endpoint.yaml"),
        "deployment.yaml": dump(
            deployment, "az ml online-deployment create --file deployment.yaml --all-traffic"
        ),
    }


# -- Ray Serve -------------------------------------------------------------------------------------


def _ray(plan: Plan) -> Files:
    application = f'''\
"""The model {plan.name} as a Ray Serve application: `serve run serve.yaml`, in this folder."""

from pathlib import Path

from argand.serve.deploy.on_ray import application

app = application(
    Path(__file__).resolve().with_name("models"),
    cpus={plan.cpus},
    memory={plan.mebibytes << 20},
    replicas=({plan.replicas}, {plan.most_replicas}),
)
'''
    config = {
        "proxy_location": "EveryNode",
        "http_options": {"host": "0.0.0.0", "port": 8000, "request_timeout_s": 60},
        "applications": [
            {"name": plan.name, "route_prefix": "/", "import_path": "application:app"}
        ],
    }
    return {
        "application.py": application,
        "serve.yaml": dump(config, "serve run serve.yaml"),
        "requirements.txt": requirements("ray[serve]", *plan.packages),
    }


_MAKERS: dict[str, Callable[[Plan], Files]] = {
    "docker": _docker,
    "kserve": _kserve,
    "vertex": _vertex,
    "sagemaker": _sagemaker,
    "azure": _azure,
    "ray": _ray,
}

__all__ = ["Files", "files_for"]
