"""Foreign languages: the vision services of others, offered here under their own names.

=====================  ========================================================================================
:mod:`.operation`      ``@operation``: a method and its signature are the specification
:mod:`.shapes`         how what is given is declared and checked
:mod:`.paging`         paginators
:mod:`.lookout`        Amazon Lookout for Vision
:mod:`.http`           the codec between HTTP and operations; ``body``, ``routes`` and ``metrics`` are its parts
:mod:`.auth`           keys and signatures
=====================  ========================================================================================
"""

from vision_toolkit.services.operation import In, Operation, Parameter, Reply, Service, operation
from vision_toolkit.services.paging import Paginator
from vision_toolkit.services.shapes import Blob, Items, Text, Violation, Whole, check, encode

__all__ = [
    "Blob",
    "In",
    "Items",
    "Operation",
    "Paginator",
    "Parameter",
    "Reply",
    "Service",
    "Text",
    "Violation",
    "Whole",
    "check",
    "encode",
    "operation",
]
