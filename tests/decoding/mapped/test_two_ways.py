"""The fast way and the patient way come to the same, whatever a source sends and a mapping says."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iris_exporter.decoding.dialect import Binary, Frame, NamedEvent
from iris_exporter.mapping.spec import Mapping
from iris_exporter.transports.sse_parser import SseParser
from tests.decoding.mapped.generators import Generator
from tests.decoding.mapped.specs import NOW, Run, start
from tests.examples import examples
from tests.mapping import samples

seeds = st.integers(0, 2**32)


def check(spec: Mapping, reads: list[list[Frame]]) -> Run:
    """Feed what each read of a socket brings to both; `Run.feed` compares them."""
    found = start(spec)
    for number, frames in enumerate(reads):
        found.feed(*frames, now=NOW + number)
    return found


def check_any(seed: int) -> Run:
    """Any mapping, and messages of which most are as it expects."""
    generator = Generator(seed)
    spec = generator.mapping()
    return check(spec, generator.reads(spec))


@examples(10)
@given(seeds)
def test_any_mapping_of_any_messages(seed: int) -> None:
    check_any(seed)


@examples(2)
@given(seeds)
def test_binary_frames_come_to_the_same_as_text_frames(seed: int) -> None:
    generator = Generator(seed)
    spec = generator.mapping()
    reads = generator.reads(spec)
    of_texts = check(spec, reads)
    of_binaries = check(spec, [[Binary(each) if isinstance(each, bytes) else each for each in read] for read in reads])
    of_texts.compare(of_binaries, NOW + len(reads))


@pytest.mark.parametrize("seed", [109_965, 209_743, 228_447])
def test_mappings_that_once_came_to_something_else(seed: int) -> None:
    """All of them at a limit: which samples are counted as left out."""
    check_any(seed)


def documents_of(name: str) -> list[tuple[str, Any]]:
    """The messages of a sample as names of events and values; those that are no JSON are left out."""
    sample = samples.load(name)
    found = [("message", each) for each in sample.lines]
    if sample.form == "sse":
        found = [(event.name, event.data) for event in SseParser(1 << 20).feed(sample.content + b"\n\n")]
    documents = []
    for event, text in found:
        try:
            documents.append((event, json.loads(text)))
        except ValueError:
            continue
    return documents


def check_sample(name: str, seed: int) -> Run:
    """Messages of a sample in any order, some of them with something else in them."""
    generator = Generator(seed)
    reads: list[list[Frame]] = []
    documents = documents_of(name)
    for _ in range(generator.random.randint(1, 3)):
        frames: list[Frame] = []
        for _ in range(generator.random.randint(0, 40)):
            event, document = generator.some(*documents)
            frame = generator.frame(document)
            frames.append(NamedEvent(event, frame) if isinstance(frame, bytes) and event != "message" else frame)
        reads.append(frames)
    return check(samples.mapping_of(name), reads)


@pytest.mark.parametrize("name", [name for name in samples.NAMES if documents_of(name)])
@examples(0.5)
@given(seeds)
def test_samples_with_something_else_in_them(name: str, seed: int) -> None:
    check_sample(name, seed)
