"""The native loop over the samples of a function that computes one or some of them at a time.

It repeats `netc.call` on a call block of its own, in which the caller's arrays start at the sample.
Where the samples are no multiple of those computed at a time, the last ones start earlier: some are
computed twice, to the same bits.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Final

from netc.compiler.backend.builder import Builder, Value, define
from netc.compiler.plan.storage import ELEMENT_BYTES
from netc.compiler.program import Slot

if TYPE_CHECKING:
    from netc.compiler.program import Manifest

CALL: Final = Value("%call", "ptr")


def sample_loop(manifest: Manifest, together: int) -> str:
    """The function `netc.samples`, for a call of at least the samples computed `together`."""
    b = Builder(manifest.precision)
    ports = (*manifest.inputs, *manifest.targets, *manifest.outputs)
    slots = Slot.DATA + len(ports)
    block = b.op(f"alloca [{slots} x i64], align 64", "ptr")
    for slot in range(slots):
        b.store(_slot(b, slot), b.offset(block, 8 * slot), 8)
    b.store(b.constant(1, "i64"), b.offset(block, 8 * Slot.BATCH), 8)
    samples = _slot(b, Slot.BATCH)
    last, before = b.sub(samples, b.constant(together, "i64")), b.block
    body, done = b.new_label("sample"), b.new_label("done")
    b.branch(body)
    b.label(body)
    following = b.phi("i64", [(b.constant(0, "i64"), before)])
    sample = b.select(b.icmp("slt", following, last), following, last)
    for number, port in enumerate(ports):
        size = prod(port.shape) * ELEMENT_BYTES[manifest.precision]
        moved = b.mul(sample, b.constant(size, "i64"))
        address = b.add(_slot(b, Slot.DATA + number), moved)
        b.store(address, b.offset(block, 8 * (Slot.DATA + number)), 8)
    b.call("netc.call", "void", block)
    after = b.add(following, b.constant(together, "i64"))
    b.add_incoming(following, after, b.block)
    b.branch_if(b.icmp("slt", after, samples), body, done)
    b.label(done)
    b.do("ret void")
    return define("netc.samples", [CALL], b, internal=True)


def _slot(b: Builder, slot: int) -> Value:
    return b.load("i64", b.offset(CALL, 8 * slot), 8)
