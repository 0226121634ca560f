"""What a model folder says of itself: somebody's data, which is not believed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypeVar

from omegaconf import DictConfig, OmegaConf

from unsup_asr.engine.config import check_component, check_own, instantiate
from unsup_asr.engine.overrides import Place
from unsup_asr.formats.checked import read_json
from unsup_asr.recognise.phones import with_files

_Part = TypeVar("_Part")


def read_description(path: Path, *needed: str, trust: bool = False) -> DictConfig:
    """The options in a JSON file of a model folder; nothing that they name is made yet.

    ValueError for a missing or damaged file, for interpolations (they could read this machine's
    environment) and, without `trust`, for classes of others.
    """
    if not path.is_file():
        raise ValueError(
            f"{path.parent}: no {path.name}; expected a model folder, such as "
            "exp/<recipe>/latest/model or, for words, exp/<recipe>/latest/words"
        )
    found = read_json(path, *needed)
    if "${" in json.dumps(found):
        raise ValueError(f"{path}: has an interpolation, ${{...}}; expected plain values")
    options = OmegaConf.create(found)
    if not trust:
        check_own(options, str(path))
    return options


TRAINED = "trained"  # in a description: how the upstream of a fine-tuned model was trained
DIGESTS = "sha256"  # in a description: of the other files in the folder, by name


def digests_of(options: DictConfig, path: Path) -> dict[str, str]:
    """sha256 of the files that belong to a model, by name; none where it is of an older version."""
    found = options.get(DIGESTS, {})
    if not isinstance(found, DictConfig) and found != {}:
        raise ValueError(f"{path}: {DIGESTS} is {found!r}; expected a digest for each file")
    return {str(name): str(digest) for name, digest in found.items()}


def inside(folder: Path, name: str) -> Path:
    """A file of the folder by its plain name; ValueError for a path that leads elsewhere."""
    if Path(name).name != name or name in (".", ".."):
        raise ValueError(f"{folder}: a file named {name!r}; expected the name of one in the folder")
    path = folder / name
    if not path.is_file():
        raise ValueError(f"{folder}: no {name}, which the model's decoder reads; copy it again")
    return path


def made(
    options: DictConfig, name: str, kind: type[_Part], path: Path, *, files_in: Path | None = None
) -> _Part:
    """The part of a model that a description calls `name`, which must be of one kind.

    `files_in` holds the files that a decoder names. ValueError says what is wrong in `path`.
    """
    node = OmegaConf.select(options, name)
    if not isinstance(node, DictConfig) or "_target_" not in node:
        raise ValueError(f"{path}: no {name} with a _target_; expected what stage `model` wrote")
    if files_in is not None:
        node = with_files(node, lambda file: inside(files_in, file))
    try:
        check_component(node, Place(str(path), name))
        found = instantiate(node)
    except TypeError as error:
        raise ValueError(f"{path}: {name} cannot be made ({error})") from error
    if not isinstance(found, kind):
        raise ValueError(f"{path}: {name} is a {type(found).__name__}; expected a {kind.__name__}")
    return found
