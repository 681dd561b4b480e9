"""What is sent to a source."""

import pytest

from iris_exporter.mapping.templates import Fields, Items, Part, Template

VALUES: dict[str, object] = {
    "next": 3,
    "secret": 'a"b',
    "param.ids": ["x", "y"],
    "cursor": "12",
    "param.list": "a, b c,",
    "param.one": "a",
}


@pytest.mark.parametrize(
    ("content", "sent"),
    [
        ("2", "2"),
        ("40{${secret}}", '40{a"b}'),
        ("$${next} ${next}", "${next} 3"),
        (Fields((("id", "${next}"), ("t", "a${next}"), ("n", 1.5), ("x", None))), '{"id":3,"t":"a3","n":1.5,"x":null}'),
        (Fields((("k", "${secret}"), ("ids", "${param.ids}"))), '{"k":"a\\"b","ids":["x","y"]}'),
        (
            Fields((("ids", "${param.list[]}"), ("n", "${param.one[]}"), ("t", "x ${param.list[]}"))),
            '{"ids":["a","b c"],"n":["a"],"t":"x a, b c,"}',
        ),
        (Items(("REQ", Fields((("since", "${cursor}"),)), True)), '["REQ",{"since":"12"},true]'),
    ],
)
def test_names_are_replaced_by_their_values(content: Part, sent: str) -> None:
    template = Template(content)
    assert template.render(VALUES.__getitem__) == sent


def test_the_names_that_a_template_uses() -> None:
    template = Template(Fields((("${a}", Items(("${b} ${c}", 1))), ("d", "$${e}"), ("f", "${g[]}"))))
    assert template.names == {"a", "b", "c", "g"}
    assert "${" not in repr(template)
