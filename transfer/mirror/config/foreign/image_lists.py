"""
Lists of images that people have: plain lines, Kubernetes manifests and what `helm template` prints, Compose files,
image-syncer's `images.yaml`, dregsy's tasks, oc-mirror's ImageSetConfiguration.

Only what a file says is read: nothing is rendered, and no registry is asked. Sources: the Kubernetes API reference
(PodSpec), compose-spec ("image"), and the documentation of the three programs.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from transfer.errors import InvalidConfig, InvalidReference
from transfer.mirror.config.document import read_document
from transfer.model.reference import Reference, parse_reference

_CONTAINERS = ("containers", "initContainers", "ephemeralContainers")
_DOCUMENT_START = re.compile(r"^---(?:[ \t].*)?$", re.MULTILINE)
_STEP = re.compile(r"([^.\[\]]+)|\[(\*|[0-9]+)\]|\.")
_MOST_MISTAKES_SHOWN = 5
_MOST_IMAGES = 100_000


class ImageList(msgspec.Struct, frozen=True):
    """
    The images that a list names.

    Attributes:
        images: each once, in the order of the list, by their full names; `latest` where no tag and no digest is named.
        repositories: those of which every tag is meant, which dregsy's and image-syncer's lists can say.
    """

    images: tuple[Reference, ...] = ()
    repositories: tuple[Reference, ...] = ()


def read_images(text: str, *, image_paths: Sequence[str] = (), name: str = "the list") -> ImageList:
    """
    Return the images of a list, whatever kind it is of.

    Args:
        text: the list.
        image_paths: where custom resources have images besides, as in `spec.components[*].image`.
        name: what the list is called in errors.

    Raises:
        InvalidConfig: it cannot be read, names something that is no image, or names none.
    """
    steps = [_steps(path) for path in image_paths]
    lines = _plain(text)
    found = [(f"line {number}", line, True) for number, line in lines] if lines is not None else [*_yaml(text, steps)]
    images: dict[Reference, None] = {}
    repositories: dict[Reference, None] = {}
    mistakes: list[str] = []
    for place, image, is_image in found[: _MOST_IMAGES + 1]:
        try:
            reference = parse_reference(image.removeprefix("docker://"), short_names=True)
        except InvalidReference as error:
            mistakes.append(f"{place}: {error}")
            continue
        if is_image and reference.tag is None and reference.digest is None:
            reference = msgspec.structs.replace(reference, tag="latest")
        (images if is_image else repositories)[reference] = None
    if mistakes or not (images or repositories) or len(found) > _MOST_IMAGES:
        shown = "; ".join(mistakes[:_MOST_MISTAKES_SHOWN]) or (
            f"it names more than {_MOST_IMAGES} images" if found else "it names no image"
        )
        more = len(mistakes) - _MOST_MISTAKES_SHOWN
        raise InvalidConfig(f"{name}: {shown}" + (f"; and {more} more" if more > 0 else ""))
    return ImageList(tuple(images), tuple(repositories))


def _plain(text: str) -> list[tuple[int, str]] | None:
    """Return the lines of a plain list with their numbers; None where it is not one."""
    lines = []
    for number, line in enumerate(text.splitlines(), start=1):
        bare = line.partition("#")[0].strip() if line.lstrip().startswith("#") or " #" in line else line.strip()
        if not bare:
            continue
        if len(bare.split()) != 1 or bare.endswith(":") or bare[0] in "-{[|>&*!%@\"'" or bare == "---":
            return None
        lines.append((number, bare))
    return lines


Found = tuple[str, str, bool]


def _yaml(text: str, paths: Sequence[Sequence[str]]) -> Iterator[Found]:
    line = 1
    for part in _DOCUMENT_START.split(text):
        document = read_document(part)
        if document.mistakes:
            mistake = document.mistakes[0]
            raise InvalidConfig(f"line {line + (mistake.line or 1) - 1}: {mistake.reason}")
        yield from _document(document.value, paths, f"the document at line {line}")
        line += part.count("\n")


def _document(value: Any, paths: Sequence[Sequence[str]], place: str) -> Iterator[Found]:
    if isinstance(value, list):
        for index, one in enumerate(value):
            if isinstance(one, str):
                yield f"{place}, [{index}]", one, True
            else:
                yield from _document(one, paths, place)
    elif isinstance(value, dict):
        yield from _mapping(value, paths, place)


def _mapping(value: dict[str, Any], paths: Sequence[Sequence[str]], place: str) -> Iterator[Found]:
    services, tasks = value.get("services"), value.get("tasks")
    if value.get("kind") == "ImageSetConfiguration":
        return _image_set(value, place)
    if isinstance(value.get("kind"), str) and "apiVersion" in value:
        return _kubernetes(value, paths)
    if isinstance(services, dict):
        return _compose(services)
    if isinstance(tasks, list):
        return _dregsy(tasks)
    if value and all("/" in key or ":" in key for key in value):
        return _image_syncer(value)
    return iter(())


def _kubernetes(value: dict[str, Any], paths: Sequence[Sequence[str]]) -> Iterator[Found]:
    name = f"{value['kind']} {_name(value)}".strip()
    yield from _pods(value, name)
    for steps in paths:
        yield from ((f"{name}, {'.'.join(steps)}", one, True) for one in _at(value, steps))


def _compose(services: dict[str, Any]) -> Iterator[Found]:
    for name, service in services.items():
        image = service.get("image") if isinstance(service, dict) else None
        if isinstance(image, str):
            yield f"service {name}", image, True


def _name(value: dict[str, Any]) -> str:
    metadata = value.get("metadata")
    return str(metadata.get("name", "")) if isinstance(metadata, dict) else ""


def _pods(value: Any, place: str) -> Iterator[Found]:
    """Yield the images of all containers and image volumes in a Kubernetes object, wherever its pods are."""
    if isinstance(value, list):
        for one in value:
            yield from _pods(one, place)
        return
    if not isinstance(value, dict):
        return
    for key, inner in value.items():
        if key in _CONTAINERS and isinstance(inner, list):
            images = [one.get("image") for one in inner if isinstance(one, dict)]
            yield from ((f"{place}, {key}", image, True) for image in images if isinstance(image, str) and image)
        elif key == "volumes" and isinstance(inner, list):
            volumes = [one.get("image") for one in inner if isinstance(one, dict)]
            named = [one.get("reference") for one in volumes if isinstance(one, dict)]
            yield from ((f"{place}, {key}", image, True) for image in named if isinstance(image, str))
        else:
            yield from _pods(inner, place)


def _image_set(value: dict[str, Any], place: str) -> Iterator[Found]:
    mirror = value.get("mirror")
    images = mirror.get("additionalImages") if isinstance(mirror, dict) else None
    for one in images if isinstance(images, list) else ():
        if isinstance(one, dict) and isinstance(one.get("name"), str):
            yield f"{place}, additionalImages", one["name"], True


def _dregsy(tasks: list[Any]) -> Iterator[Found]:
    for task in tasks:
        source = task.get("source") if isinstance(task, dict) else None
        registry = source.get("registry") if isinstance(source, dict) else None
        mappings = task.get("mappings") if isinstance(task, dict) else None
        for mapping in mappings if isinstance(mappings, list) and isinstance(registry, str) else ():
            start = mapping.get("from") if isinstance(mapping, dict) else None
            if isinstance(start, str):
                place = f"task {task.get('name', '')}, {start}"
                yield from _tagged(place, f"{registry}/{start.lstrip('/')}", mapping.get("tags"))


def _image_syncer(value: dict[str, Any]) -> Iterator[Found]:
    for source in value:
        repository, colon, tags = source.rpartition(":")
        if not colon or ("/" in tags.partition("@")[0] and not tags.startswith("/")):
            yield from _tagged(source, source, None)
        elif "@" in source:
            yield source, source, True
        else:
            yield from _tagged(source, repository, tags.split(","))


def _tagged(place: str, repository: str, tags: Any) -> Iterator[Found]:
    if not tags:
        yield place, repository, False
        return
    for tag in tags if isinstance(tags, list) else [tags]:
        if not isinstance(tag, str) or set(tag) & set("/*:^ ") or not tag:
            raise InvalidConfig(f"{place}: the tags {str(tag)[:100]!r} are a pattern: mirror this one with --tags")
        yield place, f"{repository}:{tag}", True


def _steps(path: str) -> list[str]:
    """
    Read a path such as `spec.components[*].image`.

    Raises:
        InvalidConfig: it is not one.
    """
    steps, at = [], 0
    bare = path.removeprefix("$").removeprefix(".")
    while at < len(bare):
        match = _STEP.match(bare, at)
        if match is None:
            break
        steps += [match[1] or match[2]] if match[1] or match[2] else []
        at = match.end()
    if at < len(bare) or not steps:
        raise InvalidConfig(f"--image-path {path[:100]!r}: expected a path such as spec.components[*].image")
    return steps


def _at(value: Any, steps: Sequence[str]) -> Iterator[str]:
    if not steps:
        if isinstance(value, str):
            yield value
        return
    first, rest = steps[0], steps[1:]
    if isinstance(value, list) and (first == "*" or first.isdecimal()):
        chosen = value if first == "*" else value[int(first) : int(first) + 1]
    elif isinstance(value, list):
        # A step by name goes through a list, as kubectl's own paths need `[*]` for.
        chosen, rest = value, steps
    elif isinstance(value, dict):
        chosen = list(value.values()) if first == "*" else [value[first]] if first in value else []
    else:
        chosen = []
    for one in chosen:
        yield from _at(one, rest)
