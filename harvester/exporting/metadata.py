"""The YAML block of the dataset's card: what the hub shows, filters and loads by."""

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from harvester.exporting.layout import features
from harvester.exporting.origins import SeedFiles
from harvester.recipe import Recipe
from harvester.terms import GATHERED

if TYPE_CHECKING:
    from harvester.exporting.dataset import Exported

SPLITS = ("train", "dev", "test")
SIZES = (("n<1K", 10**3), ("1K<n<10K", 10**4), ("10K<n<100K", 10**5), ("100K<n<1M", 10**6), ("1M<n<10M", 10**7))
LARGEST = "10M<n<100M"
_CREATIVE_COMMONS = [
    f"cc-{kind}-{version}.0" for kind in ("by", "by-sa", "by-nc", "by-nc-sa", "by-nc-nd") for version in (3, 4)
]
_CODE = ["apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "gpl-3.0", "lgpl-3.0", "agpl-3.0", "mpl-2.0", "unlicense"]
_DATA = ["odc-by", "odbl", "pddl", "cdla-permissive-1.0", "cdla-permissive-2.0", "cdla-sharing-1.0", "gfdl"]
HUB_LICENSES = frozenset(["cc0-1.0", "cc-by-nd-4.0", *_CREATIVE_COMMONS, *_CODE, *_DATA])
"""Of the hub's own identifiers, those that seeds are likely to have; of any other it wants a name."""


def metadata(
    recipe: Recipe, exported: "Exported", seeds: Sequence[SeedFiles], overall: dict[str, Any]
) -> dict[str, Any]:
    """What stands in the block.

    Args:
        recipe: whose dataset it is.
        exported: what was written.
        seeds: where its seeds are from.
        overall: what binds the whole, as `terms.together` says it.
    """
    languages = checked_languages(recipe)
    return {
        "pretty_name": recipe.name,
        **_license(exported, seeds, overall),
        **({"language": languages} if languages else {}),
        "annotations_creators": ["machine-generated"],
        "source_datasets": _sources(seeds),
        "size_categories": [_size(exported.rows.total())],
        "task_categories": ["text-generation"],
        "tags": ["harvester", "distillation", "synthetic"],
        **features(exported),
        "configs": _configs(exported),
    }


def checked_languages(recipe: Recipe) -> list[str]:
    """The languages that every accepted answer was checked to be written in; none where nobody looked."""
    settings = recipe.demands(recipe.answer_step).of_answers.get("language")
    stated = settings.get("is", []) if isinstance(settings, dict) else []
    return [stated] if isinstance(stated, str) else list(stated)


def _configs(exported: "Exported") -> list[dict[str, Any]]:
    of_config = {
        config: [{"split": split, "path": path} for split, path in files.items()]
        for config, files in exported.files.items()
    }
    files, pairs = of_config["default"], of_config.get("preference")
    # `datasets` caches a local folder under its name and this block, whatever its files hold: without a digest of
    # the rows, a second export would give the rows of the first.
    default = {"config_name": "default", "description": f"rows sha256:{exported.sha256}", "data_files": files}
    return [default, *([{"config_name": "preference", "data_files": pairs}] if pairs else [])]


def _size(rows: int) -> str:
    return next((name for name, below in SIZES if rows < below), LARGEST)


def _sources(seeds: Sequence[SeedFiles]) -> list[str]:
    known = [f"extended|{name}" for one in seeds for name in one.datasets]
    return list(dict.fromkeys(known)) or ["original"]


def _license(exported: "Exported", seeds: Sequence[SeedFiles], overall: dict[str, Any]) -> dict[str, str]:
    """The seeds' licence, where they have one and the teachers' terms add nothing to it."""
    names = list(_binding(exported))
    if not names and overall["verdict"] in ("allowed", None):
        stated = list(dict.fromkeys(one.license for one in seeds))
        if None in stated:
            return {"license": "unknown"}
        if len(stated) == 1 and str(stated[0]).lower() in HUB_LICENSES:
            return {"license": str(stated[0]).lower()}
        return {"license": "other", "license_name": _slug([str(name) for name in stated])}
    return {"license": "other", "license_name": _slug(["terms-of", "-and-".join(names)])}


def _binding(exported: "Exported") -> Iterator[str]:
    """Ids of terms that whoever uses the dataset must know."""
    for terms in exported.terms.values():
        if terms["verdict"] != "allowed" or any(terms.get(name) for name in GATHERED.values()):
            yield str(terms["id"])


def _slug(names: Sequence[str]) -> str:
    slug = re.sub(r"[^a-z0-9.]+", "-", "-".join(dict.fromkeys(names))[:200].lower()).strip("-.")
    return slug[:96].rstrip("-.") or "not-named"
