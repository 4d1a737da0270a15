"""One small net and its page, shared by the tests of the explorer."""

from __future__ import annotations

import json
import re
import zlib
from base64 import b64decode
from typing import TYPE_CHECKING

import pytest

from netc.compiling import program_of
from netc.explore.page import page
from netc.grammar.source import Source

if TYPE_CHECKING:
    from netc.compiler.driver import Program

TEXT = """\
# a comment with </script><script>window.broken = 1</script> and <b>tags</b> & "quotes"
net Small {
  input  x: [2, 8, 8]
  target y: class[3]

  c = x |> conv(4, kernel=3, act=relu) |> max_pool(2)
  h = c |> flatten |> dense(5, act=tanh)
  logits = h |> dense(3)

  output p = softmax(logits)
  loss cross_entropy(logits, y)
}

train { optimizer = sgd(lr=0.1) }
"""


@pytest.fixture(scope="session")
def small() -> Program:
    return program_of(Source("small.net", TEXT), {}, "f32")


@pytest.fixture(scope="session")
def html(small: Program) -> str:
    return page(small, 64, ("infer", "step"))


def unpacked(html: str) -> dict[str, dict]:
    """The data of a page by their names."""
    found = re.findall(r'<script type="text/plain" id="data-([\w-]+)">([^<]*)</script>', html)
    return {name: json.loads(zlib.decompress(b64decode(data))) for name, data in found}
