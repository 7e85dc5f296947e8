"""Bytes in, entries out: manifests, images, masks, and the datasets that we draw.

========================  ==========================================================
:mod:`.manifest`          ``Manifest``: an immutable sequence of entries
:mod:`.jsonlines`         one JSON line, read generously and written without loss
:mod:`.locate`            where the images of a manifest lie on this machine
:mod:`.check`             what is odd about the images and the set
:mod:`.storage`           path or URI to bytes; files and folders that are never half there
:mod:`.images`            decode, encode, masks
:mod:`.synthetic`         draws the bundled datasets
========================  ==========================================================
"""

from vision_toolkit.data.images import read_image, read_mask
from vision_toolkit.data.manifest import Manifest

__all__ = ["Manifest", "read_image", "read_mask"]
