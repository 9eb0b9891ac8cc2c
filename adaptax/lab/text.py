"""Text from outside, made safe to show; see `adaptax.core.shown`."""

from adaptax.core.shown import cut as cut
from adaptax.core.shown import drawable as drawable
from adaptax.core.shown import printable as printable
from adaptax.core.shown import quoted as quoted
