"""Serializers of results, as programs import them."""

from millstream_shared.serializers import CompressedSerializer, JSONSerializer, PickleSerializer, Serializer

__all__ = ["CompressedSerializer", "JSONSerializer", "PickleSerializer", "Serializer"]
