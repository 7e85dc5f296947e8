"""Bytes in, entries out: manifests, images, masks, and the datasets that we draw.

========================  ==========================================================
:mod:`.manifest`          ``Manifest``: an immutable sequence of entries. What it does with
                          them: :mod:`.selection` (filter, sample), :mod:`.revision` (upsert,
                          merge, relabel, remove), :mod:`.diff`, :mod:`.frame` and
                          :mod:`.accessor` (pandas), :mod:`.strip` (how it shows itself)
:mod:`.jsonlines`         one JSON line, read generously and written without loss;
                          :mod:`.attributes` and :mod:`.edits` are its parts, :mod:`.dates`
                          reads dates, :mod:`.usual` reads the usual lines quickly
:mod:`.lines`             the lines of a file of any size and encoding
:mod:`.locate`            where the images of a manifest lie; :mod:`.placing` names them anew
:mod:`.rules`             what can be odd, as data
:mod:`.check`             what is odd; :mod:`.check_images` looks at the files
:mod:`.repair`            a plan, then a new file; :mod:`.remedies` mend one line each,
                          :mod:`.repair_lines` and :mod:`.repair_files` are its hands
:mod:`.convert`           outside formats, in and out; :mod:`.formats` has one file for each,
                          :mod:`.shapes` paints and outlines masks
:mod:`.storage`           path or URI to bytes; files and folders that are never half there
:mod:`.images`            decode, encode, masks; :mod:`.preview` makes them fit for a browser
:mod:`.label_log`         what people say of images, a file that loses nothing; :mod:`.label_act` is a line
:mod:`.working_copy`      a manifest that is worked on, in a file of its own
:mod:`.synthetic`         draws the bundled datasets
========================  ==========================================================
"""

from vision_toolkit.data.images import read_image, read_mask
from vision_toolkit.data.manifest import Manifest

__all__ = ["Manifest", "read_image", "read_mask"]
