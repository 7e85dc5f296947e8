"""Three inspection datasets that a seeded generator draws, with defects, masks and honest difficulty.

``load_dataset("board")`` is where a newcomer starts; ``draw_dataset`` makes as much more as anybody wants.

====================  ==============================================================
:mod:`.folder`        the public face: draw an image, write a folder, find or make a set
:mod:`.dirty`         a folder with every trouble that real ones have
:mod:`.board`         a circuit board; :mod:`.parts` is what sits on it
:mod:`.casting`       a cast and turned flange
:mod:`.biscuit`       a stamped and iced biscuit
:mod:`.painting`      surfaces, light and camera: what they share
====================  ==============================================================
"""

from vision_toolkit.data.synthetic.dirty import Dirty, draw_dirty
from vision_toolkit.data.synthetic.folder import (
    DATASETS,
    VERSION,
    DatasetFacts,
    draw_dataset,
    draw_image,
    load_dataset,
)

__all__ = [
    "DATASETS",
    "VERSION",
    "DatasetFacts",
    "Dirty",
    "draw_dataset",
    "draw_dirty",
    "draw_image",
    "load_dataset",
]
