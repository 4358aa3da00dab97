"""Settings: files, environment and keyword arguments become validated values."""

from broker.config.consistency import identity_of, mapping_identity
from broker.config.loading import check, load, mapping_from, notices, parse_function, parse_mapping, parse_settings
from broker.config.schema import json_schema

__all__ = [
    "check",
    "identity_of",
    "json_schema",
    "load",
    "mapping_from",
    "mapping_identity",
    "notices",
    "parse_function",
    "parse_mapping",
    "parse_settings",
]
