"""Visual inspection in your notebook and on your own machine: label, train, evaluate, explain.

The names below are the front door. Each is loaded when it is first used, so ``import vision_toolkit`` is
quick and light. The rooms behind it are there too: ``vision_toolkit.data``, ``vision_toolkit.plots``, ...

Examples
--------
>>> import vision_toolkit as vt
>>> vt.Entry("parts/1.png", vt.Label.NORMAL)
Entry(source='parts/1.png', label=<Label.NORMAL: 'normal'>, tags=(), regions=(), mask=None)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vision_toolkit.app.client import teach_boto3
    from vision_toolkit.app.server import serve
    from vision_toolkit.core.entry import Entry, Finding, Label, MaskRef, Region, Tag
    from vision_toolkit.core.errors import Conflict, Failed, Invalid, NotFound, Unsupported, VisionError
    from vision_toolkit.core.mask import Mask
    from vision_toolkit.core.prediction import Prediction, Task
    from vision_toolkit.core.settings import Settings
    from vision_toolkit.curation.report import Curation, curate
    from vision_toolkit.curation.split import k_fold, train_test_split
    from vision_toolkit.data.check import check_file
    from vision_toolkit.data.convert import read_dataset, read_splits, write_dataset
    from vision_toolkit.data.manifest import Manifest
    from vision_toolkit.data.repair import plan_repair
    from vision_toolkit.data.synthetic import load_dataset
    from vision_toolkit.metrics.comparison import Comparison
    from vision_toolkit.metrics.evaluation import Evaluation
    from vision_toolkit.models.comparison import compare
    from vision_toolkit.models.learning import learning_curve
    from vision_toolkit.models.model import Model, load
    from vision_toolkit.models.train import train
    from vision_toolkit.plots import contact_sheet, overlay
    from vision_toolkit.services.lookout import LookoutVision
    from vision_toolkit.widgets.box_labeler import BoxLabeler
    from vision_toolkit.widgets.labeler import Labeler
    from vision_toolkit.widgets.mask_painter import MaskPainter
    from vision_toolkit.widgets.review import Review
    from vision_toolkit.workspace import Workspace

__version__ = "0.1.0"

__all__ = [
    "BoxLabeler",
    "Comparison",
    "Conflict",
    "Curation",
    "Entry",
    "Evaluation",
    "Failed",
    "Finding",
    "Invalid",
    "Label",
    "Labeler",
    "LookoutVision",
    "Manifest",
    "Mask",
    "MaskPainter",
    "MaskRef",
    "Model",
    "NotFound",
    "Prediction",
    "Region",
    "Review",
    "Settings",
    "Tag",
    "Task",
    "Unsupported",
    "VisionError",
    "Workspace",
    "__version__",
    "check_file",
    "compare",
    "contact_sheet",
    "curate",
    "k_fold",
    "learning_curve",
    "load",
    "load_dataset",
    "overlay",
    "plan_repair",
    "read_dataset",
    "read_splits",
    "serve",
    "teach_boto3",
    "train",
    "train_test_split",
    "write_dataset",
]

# Where each name lives. Strings, so that nothing is imported before it is asked for.
_NAMES = {
    "BoxLabeler": "vision_toolkit.widgets.box_labeler:BoxLabeler",
    "Comparison": "vision_toolkit.metrics.comparison:Comparison",
    "Conflict": "vision_toolkit.core.errors:Conflict",
    "Curation": "vision_toolkit.curation.report:Curation",
    "Entry": "vision_toolkit.core.entry:Entry",
    "Evaluation": "vision_toolkit.metrics.evaluation:Evaluation",
    "Failed": "vision_toolkit.core.errors:Failed",
    "Finding": "vision_toolkit.core.entry:Finding",
    "Invalid": "vision_toolkit.core.errors:Invalid",
    "Label": "vision_toolkit.core.entry:Label",
    "Labeler": "vision_toolkit.widgets.labeler:Labeler",
    "LookoutVision": "vision_toolkit.services.lookout:LookoutVision",
    "Manifest": "vision_toolkit.data.manifest:Manifest",
    "Mask": "vision_toolkit.core.mask:Mask",
    "MaskPainter": "vision_toolkit.widgets.mask_painter:MaskPainter",
    "MaskRef": "vision_toolkit.core.entry:MaskRef",
    "Model": "vision_toolkit.models.model:Model",
    "NotFound": "vision_toolkit.core.errors:NotFound",
    "Prediction": "vision_toolkit.core.prediction:Prediction",
    "Region": "vision_toolkit.core.entry:Region",
    "Review": "vision_toolkit.widgets.review:Review",
    "Settings": "vision_toolkit.core.settings:Settings",
    "Tag": "vision_toolkit.core.entry:Tag",
    "Task": "vision_toolkit.core.prediction:Task",
    "Unsupported": "vision_toolkit.core.errors:Unsupported",
    "VisionError": "vision_toolkit.core.errors:VisionError",
    "Workspace": "vision_toolkit.workspace:Workspace",
    "check_file": "vision_toolkit.data.check:check_file",
    "compare": "vision_toolkit.models.comparison:compare",
    "contact_sheet": "vision_toolkit.plots:contact_sheet",
    "curate": "vision_toolkit.curation.report:curate",
    "k_fold": "vision_toolkit.curation.split:k_fold",
    "learning_curve": "vision_toolkit.models.learning:learning_curve",
    "load": "vision_toolkit.models.model:load",
    "load_dataset": "vision_toolkit.data.synthetic:load_dataset",
    "overlay": "vision_toolkit.plots:overlay",
    "plan_repair": "vision_toolkit.data.repair:plan_repair",
    "read_dataset": "vision_toolkit.data.convert:read_dataset",
    "read_splits": "vision_toolkit.data.convert:read_splits",
    "serve": "vision_toolkit.app.server:serve",
    "teach_boto3": "vision_toolkit.app.client:teach_boto3",
    "train": "vision_toolkit.models.train:train",
    "train_test_split": "vision_toolkit.curation.split:train_test_split",
    "write_dataset": "vision_toolkit.data.convert:write_dataset",
}
_ROOMS = ("core", "curation", "data", "metrics", "models", "plots", "services", "widgets", "workspace")

if not TYPE_CHECKING:  # a type checker sees the imports above, and so knows a wrong name when it meets one

    def __getattr__(name: str) -> object:
        """Load a name of the front door, or a room, when it is first asked for (PEP 562)."""
        from importlib import import_module

        if name in _ROOMS:
            return import_module(f"vision_toolkit.{name}")
        if name not in _NAMES:
            from difflib import get_close_matches

            near = get_close_matches(name, [*_NAMES, *_ROOMS], n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join([*_NAMES, *_ROOMS])}."
            raise AttributeError(f"vision_toolkit has no {name!r}; {hint}")
        module, _, attribute = _NAMES[name].partition(":")
        value: object = getattr(import_module(module), attribute)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        """List the names of the front door and the rooms, so that completion shows them before they are loaded."""
        return sorted({*globals(), *_NAMES, *_ROOMS})
