"""
Message components, versions 1 and 2: numbering, validation and search. Pure.

Components nest through `components` (rows, containers, sections) and `accessory` (sections), so a button may
sit at any depth.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from localdiscord.wire import errors

Json = dict[str, Any]

ACTION_ROW = 1
BUTTON = 2
TEXT_INPUT = 4
SECTION = 9
#: Kinds that carry a `custom_id`: button, the five selects, text input.
INTERACTIVE = frozenset({2, 3, 4, 5, 6, 7, 8})
#: The kinds a message may hold at its top level without the flag IS_COMPONENTS_V2.
TOP_LEVEL_V1 = frozenset({ACTION_ROW})
KNOWN = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 17, 18, 19})
LINK_STYLE = 5
PREMIUM_STYLE = 6


def walk(components: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yield every component, depth first, parents before their children."""
    for component in components:
        yield component
        yield from walk(component.get("components") or ())
        for key in ("accessory", "component"):
            if nested := component.get(key):
                yield from walk((nested,))


def numbered(components: Sequence[Mapping[str, Any]]) -> list[Json]:
    """
    Return a copy in which every component has an integer `id`.

    Given ids stay; the rest count up from 1, depth first, around the given ones.
    """
    taken = {component["id"] for component in walk(components) if component.get("id")}
    free = (number for number in range(1, 10_000) if number not in taken)
    return [_numbered(component, free) for component in components]


def _numbered(component: Mapping[str, Any], free: Iterator[int]) -> Json:
    copy = dict(component)
    copy["id"] = component.get("id") or next(free)
    if nested := component.get("components"):
        copy["components"] = [_numbered(child, free) for child in nested]
    for key in ("accessory", "component"):
        if nested := component.get(key):
            copy[key] = _numbered(nested, free)
    return copy


def validated(components: Any, *, version_2: bool) -> list[Json]:
    """
    Return the components numbered, or raise `InvalidForm` at the first that Discord would refuse.

    `version_2` says whether the message carries the flag IS_COMPONENTS_V2.
    """
    if not isinstance(components, list) or not all(isinstance(each, dict) for each in components):
        raise errors.bad_type("components")
    if not version_2 and len(components) > 5:
        raise errors.too_long(5, "components")
    for position, component in enumerate(components):
        if component.get("type") not in KNOWN or (
            not version_2 and component.get("type") not in TOP_LEVEL_V1
        ):
            raise errors.choices("components", position, "type")
    _check_custom_ids(components)
    return numbered(components)


def _check_custom_ids(components: Sequence[Mapping[str, Any]]) -> None:
    seen: set[str] = set()
    for component in walk(components):
        if component.get("type") not in KNOWN:
            raise errors.choices("components", "type")
        if component["type"] not in INTERACTIVE or component.get("style") in {LINK_STYLE, PREMIUM_STYLE}:
            continue
        custom_id = component.get("custom_id")
        if not isinstance(custom_id, str) or not custom_id:
            raise errors.required("components", "custom_id")
        if len(custom_id) > 100:
            raise errors.too_long(100, "components", "custom_id")
        if custom_id in seen:
            raise errors.InvalidForm(
                ("components", "custom_id"),
                "COMPONENT_CUSTOM_ID_DUPLICATED",
                "Component custom id cannot be duplicated",
            )
        seen.add(custom_id)


def find(components: Sequence[Mapping[str, Any]], custom_id: str) -> Mapping[str, Any] | None:
    """Return the component with that `custom_id`, or None."""
    return next((each for each in walk(components) if each.get("custom_id") == custom_id), None)
