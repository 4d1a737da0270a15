"""Every kernel of a reference net: `python -m benchmarks.kernels mlp_m [--function step]`.

The same as `netc profile` on the file of that net, with the net's batch size.
"""

from __future__ import annotations

import argparse
import sys

from benchmarks.nets import FOLDER, NETS
from netc.__main__ import main

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kernels", description=__doc__)
    parser.add_argument("net", help=f"one of {', '.join(NETS)}, or a .net file")
    parser.add_argument("--batch", help="samples (default: the net's)")
    chosen, others = parser.parse_known_args()
    known = NETS.get(chosen.net)
    file = str(FOLDER / f"{known.name}.net") if known else chosen.net
    batch = ["--batch", chosen.batch] if chosen.batch else []
    sys.exit(main(["profile", file, *batch, *others]))
