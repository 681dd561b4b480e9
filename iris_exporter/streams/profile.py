"""What a stream is put together from, for each kind of source."""

from collections.abc import Callable
from dataclasses import dataclass

from iris_exporter.core.limits import Limits
from iris_exporter.decoding.dialect import Dialect
from iris_exporter.decoding.iris_graphql.dialect import IrisGraphql
from iris_exporter.model.state import StreamState


@dataclass(frozen=True, slots=True)
class Profile:
    """What is particular to one kind of source; everything else of a stream is the same for all of them."""

    dialect: Callable[[Limits], Dialect]
    state: type[StreamState]


IRIS = Profile(IrisGraphql, StreamState)
