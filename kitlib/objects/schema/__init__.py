"""What the API knows about the shape of objects: fields, types, defaults, merge keys, OpenAPI, protobuf.

Here is only knowledge about types.  Nothing in this package knows about requests, storage or users.
"""

from kitlib.objects.schema.report import Problem
from kitlib.objects.schema.schema import Decoded, Schema, schema_for
from kitlib.objects.schema.typenode import ANY, TypeNode

__all__ = ["ANY", "Decoded", "Problem", "Schema", "TypeNode", "schema_for"]
