"""Declare every resource listed in FLAT_RESOURCES (JSON: type, name, inputs) with the SDK's own classes."""

import importlib
import json
import os
import re
from pathlib import Path

import pulumi

PACKAGES = {"digitalocean": "pulumi_digitalocean", "aws": "pulumi_aws", "command": "pulumi_command"}


def snake(name: str) -> str:
    """The Python name of an input: `ipRange` -> `ip_range`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def class_of(token: str) -> type:
    """`aws:s3/bucket:Bucket` -> `pulumi_aws.s3.Bucket`."""
    package, module, name = token.split(":")
    folder = module.split("/")[0]
    path = PACKAGES[package] if folder == "index" else f"{PACKAGES[package]}.{folder}"
    return getattr(importlib.import_module(path), name)


def declare(entry: dict) -> None:
    inputs = {snake(key): value for key, value in entry["inputs"].items()}
    if "source" in inputs:
        inputs["source"] = pulumi.FileAsset(__file__)
    if "connection" in inputs:  # secret as a whole in the state; a preview dials nobody
        inputs["connection"] = {"host": "host.invalid", "user": "root"}
    class_of(entry["type"])(entry["name"], **inputs)


for resource in json.loads(Path(os.environ["FLAT_RESOURCES"]).read_text()):
    declare(resource)
