"""Every quota that Lookout for Vision published, in one place.

Source: the service's developer guide, page "Limits", and its API model (2020-11-20). In the library they
are told as Findings and stop nothing; the services enforce them unless a setting says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LOOKOUT", "MAX_PIXELS", "Limits"]

MAX_PIXELS = 89_000_000
"""Largest image, width times height, that anything here decodes; a bigger one is refused unread."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Hold the published quotas of a service.

    Examples
    --------
    >>> LOOKOUT.min_side, LOOKOUT.max_side, LOOKOUT.max_image_bytes
    (64, 4096, 8000000)
    """

    min_side: int = 64
    max_side: int = 4096
    max_image_bytes: int = 8_000_000
    formats: tuple[str, ...] = ("JPEG", "PNG")
    max_line_characters: int = 8192
    max_manifest_bytes: int = 1_000_000_000
    single_normal: int = 20
    single_anomaly: int = 10
    train_normal: int = 10
    test_normal: int = 10
    test_anomaly: int = 10
    max_train_images: int = 16_000
    max_test_images: int = 4_000
    max_train_images_segmentation: int = 8_000
    max_test_images_segmentation: int = 800
    single_images_per_type: int = 20
    images_per_type: int = 10
    max_types: int = 100
    max_types_per_mask: int = 20


LOOKOUT = Limits()
"""The quotas of Amazon Lookout for Vision."""
