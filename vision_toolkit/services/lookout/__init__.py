"""Lookout for Vision (2020-11-20): its names, its checks, its answers and its errors.

=====================  ==================================================================
:mod:`.service`        ``LookoutVision``, the client
:mod:`.datasets`       its operations on projects and datasets
:mod:`.models`         its operations on models: training and hosting
:mod:`.packages`       its operations on packaging jobs and tags
:mod:`.base`           what they share
:mod:`.work`           what each operation asks to be done, in plain Python
:mod:`.shapes`         every structure and constrained value of the contract
:mod:`.answers`        what each operation answers
:mod:`.errors`         ``ClientError`` and the seven errors of the contract
=====================  ==================================================================
"""

from vision_toolkit.services.lookout.errors import ClientError
from vision_toolkit.services.lookout.service import LookoutVision
from vision_toolkit.services.lookout.work import Work

__all__ = ["ClientError", "LookoutVision", "Work"]
