"""What lives and changes: projects, datasets, models, packages and the jobs that make them.

Read :mod:`.lifecycle` first (which state follows which), then :mod:`.workspace`, :mod:`.jobs` and one kind of job,
:mod:`.training`. Only here are states written; services translate words.
"""

from vision_toolkit.workspace.workspace import Workspace

__all__ = ["Workspace"]
