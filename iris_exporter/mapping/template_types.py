"""Types for what is sent to a source: text, or JSON, with `${name}` in it."""

from dataclasses import dataclass

from typing_extensions import override

from iris_exporter.config.values import quoted
from iris_exporter.config.yaml_tree import Node, Scalar, Sequence, Table
from iris_exporter.core.suggestions import did_you_mean
from iris_exporter.mapping.fields import Constant, Schema, Type
from iris_exporter.mapping.notes import Here
from iris_exporter.mapping.templates import NAMES, Fields, Items, Part, Template, is_open, means, names_in

_MAX_DEPTH = 20


@dataclass(frozen=True, slots=True)
class TemplateType(Type):
    """Text that is sent as it is, or keys or a list that become JSON; `names` are those that mean something here."""

    names: tuple[str, ...]
    text_alone: bool = False

    @override
    def read(self, node: Node, here: Here) -> Template:
        if isinstance(node, Scalar):
            if node.text is None:
                raise here.problem("nothing", self._syntax)
            self._check(node.text, here)
            return Template(node.text)
        if self.text_alone:
            raise here.problem("a list, or keys with values", self._syntax)
        return Template(self._part(node, here, 0))

    @property
    @override
    def words(self) -> str:
        return self._syntax

    @override
    def schema(self, definitions: Schema) -> Schema:
        return {"type": ["string", "number"] if self.text_alone else ["string", "number", "object", "array"]}

    @property
    def _syntax(self) -> str:
        return "a text" if self.text_alone else "a text, or keys and lists that become JSON"

    def _part(self, node: Node, here: Here, depth: int) -> Part:
        if depth > _MAX_DEPTH:
            raise here.problem("a deeper one", f"at most {_MAX_DEPTH} levels")
        if isinstance(node, Table):
            pairs = []
            for name, value in node.entries.items():
                place = here.at(name, value, node.lines.get(name))
                self._check(name, place)
                pairs.append((name, self._part(value, place, depth + 1)))
            return Fields(tuple(pairs))
        if isinstance(node, Sequence):
            return Items(tuple(self._part(item, here.at(i, item), depth + 1) for i, item in enumerate(node.items)))
        part: Part = Constant().read(node, here)
        if isinstance(part, str):
            self._check(part, here)
        return part

    def _check(self, text: str, here: Here) -> None:
        """Note the names in a text that mean nothing here."""
        if is_open(text):
            here.problem("${ without }", "a } behind the name; $${ for a plain ${")
        for name in names_in(text):
            if means(name, self.names):
                if name.endswith("."):
                    here.problem(quoted(f"${{{name}}}"), "a name behind the dot")
                continue
            known = ", ".join(f"${{{each}}}" for each in self.names)
            here.problem(
                quoted(f"${{{name}}}"), f"one of {known}{did_you_mean(name, self.names)}; $${{ for a plain ${{"
            )


MESSAGE = TemplateType(tuple(name for name in NAMES if name != "origin"))
REPLY = MESSAGE
QUERY_TEXT = TemplateType(("cursor", "param.NAME"), text_alone=True)
URL_TEXT = TemplateType(("origin", "param.NAME"), text_alone=True)
