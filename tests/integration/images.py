"""Container images, each replaceable: `BROKER_TEST_IMAGE_FAUXQS=registry.example/fauxqs:2` and the like."""

from os import environ


def image(name: str, default: str) -> str:
    """The image named by the environment, else the one that the suite was written for."""
    return environ.get(f"BROKER_TEST_IMAGE_{name}", default)


MINISTACK = image("MINISTACK", "ministackorg/ministack:1.5.33")
FAUXQS = image("FAUXQS", "kibertoad/fauxqs:2.4.1")
DYNAMODB_LOCAL = image("DYNAMODB_LOCAL", "amazon/dynamodb-local:latest")
MOTO = image("MOTO", "motoserver/moto:5.2.5")
KINESIS_MOCK = image("KINESIS_MOCK", "ghcr.io/etspaceman/kinesis-mock:0.6.2")
