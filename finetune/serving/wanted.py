"""A name with no model behind it is said before anything is loaded: what is there, what is wanted, what to do."""

from pathlib import Path

from finetune import hub, identity, runs
from finetune.config import EMBEDDED
from finetune.errors import BadInput
from finetune.notes import NOTES
from harvester.verify.names import did_you_mean

WANTED = "a finished run's folder, a model's folder or a hub id"
READ_LATER = (runs.FACTS, hub.CONFIG, "adapter_config.json")
"""Of runs, models and adapters: what is wrong with those is said where they are loaded."""
NAMED = 3
"""So many folders are named in a message."""


def require_model(model: str) -> None:
    """Sees that a name may stand for a model; whether it can be loaded shows when it is.

    Args:
        model: what is to be served.

    Raises:
        BadInput: it is a folder of something else, or neither a folder nor a model that the hub gives.
    """
    folder = Path(model)
    if model == EMBEDDED:
        return
    if folder.is_dir():
        _require_model_folder(folder)
        return
    try:
        identity.locate(model, "")
    except BadInput as error:
        raise BadInput(f"{str(error).lstrip()}; give {WANTED}{_near(folder)}") from error


def _require_model_folder(folder: Path) -> None:
    run = folder.resolve().parent
    if (run / runs.FACTS).exists() and not (folder / hub.CONFIG).exists():
        raise BadInput(f"{folder}: is a part of a run; give the run's folder, {run}")
    if any((folder / name).exists() for name in READ_LATER):
        return
    if (folder / NOTES).exists():
        mend = f"train a student on it (`finetune train {folder} --out RUN`) and give RUN"
        raise BadInput(f"{folder}: is a dataset, not {WANTED}; {mend}")
    if within := sorted({path.parent for name in (runs.FACTS, hub.CONFIG) for path in folder.glob(f"*/{name}")}):
        more = ", …" if len(within) > NAMED else ""
        shown = ", ".join(map(str, within[:NAMED])) + more
        raise BadInput(f"{folder}: is not {WANTED} itself; give one that is in it: {shown}")
    found = f"holds no {hub.CONFIG} of a model" if any(folder.iterdir()) else "is an empty folder"
    raise BadInput(f"{folder}: {found}; give {WANTED}")


def _near(folder: Path) -> str:
    """The folder that a path with a typo may have meant."""
    parent = folder.parent
    names = [path.name for path in parent.iterdir() if path.is_dir()] if parent.is_dir() else []
    return did_you_mean(folder.name, names)
