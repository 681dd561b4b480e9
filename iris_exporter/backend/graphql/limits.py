"""How much one GraphQL document may ask for, so that answering it delays nobody else. Pure.

Fields, aliases and depth are counted as they are executed, fragments put in the place of their names: each fragment is
counted once, so a document whose fragments name one another many times costs no more to refuse than any other.
"""

from collections.abc import Mapping
from typing import NamedTuple

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
)

MAX_DEPTH = 20
"""Levels of fields; introspection as tools send it has 15."""
MAX_FIELDS = 300
"""Fields in all; introspection as tools send it has 222."""
MAX_ALIASES = 10
"""Fields under another name: what lets a document ask for the same thing many times."""
MAX_DIRECTIVES = 50
MAX_TOKENS = 2000


class LimitError(ValueError):
    """A document asks for more than the limits allow; the text says of what."""


class _Size(NamedTuple):
    fields: int = 0
    aliases: int = 0
    directives: int = 0
    depth: int = 0


def check(document: DocumentNode) -> None:
    """Hold each operation of a document to the limits, also one that breaks the rules of the schema.

    Raises:
        LimitError: One of them asks for too much, or its fragments name themselves.
    """
    fragments = {each.name.value: each for each in document.definitions if isinstance(each, FragmentDefinitionNode)}
    counter = _Counter(fragments)
    for definition in document.definitions:
        if isinstance(definition, OperationDefinitionNode):
            size = counter.of(definition.selection_set)
            for name, found, limit in (
                ("fields", size.fields, MAX_FIELDS),
                ("aliases", size.aliases, MAX_ALIASES),
                ("directives", size.directives + len(definition.directives or ()), MAX_DIRECTIVES),
                ("levels", size.depth, MAX_DEPTH),
            ):
                if found > limit:
                    raise LimitError(f"the operation has too many {name}: at most {limit} are allowed")


class _Counter:
    def __init__(self, fragments: Mapping[str, FragmentDefinitionNode]) -> None:
        self._fragments = fragments
        self._known: dict[str, _Size | None] = {}  # None: being counted

    def of(self, selections: SelectionSetNode | None) -> _Size:
        fields = aliases = directives = depth = 0
        for node in () if selections is None else selections.selections:
            if isinstance(node, FragmentSpreadNode):
                size = self._of_fragment(node.name.value)
            else:
                size = self.of(node.selection_set if isinstance(node, FieldNode | InlineFragmentNode) else None)
            is_field = isinstance(node, FieldNode)
            fields += size.fields + is_field
            aliases += size.aliases + (isinstance(node, FieldNode) and node.alias is not None)
            directives += size.directives + len(node.directives or ())
            depth = max(depth, size.depth + is_field)
        return _Size(fields, aliases, directives, depth)

    def _of_fragment(self, name: str) -> _Size:
        if name not in self._known:
            fragment = self._fragments.get(name)
            self._known[name] = None
            self._known[name] = _Size() if fragment is None else self.of(fragment.selection_set)
        size = self._known[name]
        if size is None:
            raise LimitError(f"the fragment {name[:60]} names itself")
        return size
