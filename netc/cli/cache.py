"""`netc cache`: where compiled programs are kept, how much of it there is, and away with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netc.cli.console import print_json
from netc.compiler.cache.store import LIMIT, VARIABLE, Store, folder

if TYPE_CHECKING:
    from argparse import Namespace

_MEBI: Final = 2**20


def cache(options: Namespace) -> int:
    """Prints the folder and the size of its files; with `--clear` removes them before."""
    where = folder()
    store = None if where is None else Store(where)
    files, size = store.size() if store else (0, 0)
    if options.clear and store:
        store.clear()
        left, size_left = store.size()
        print(f"removed     {_amount(files - left, size - size_left)}")
        files, size = left, size_left
    if where is None:
        print(f"folder      none: {VARIABLE} is `off`, or there is no home folder")
    else:
        print(f"folder      {where}")
        print(f"kept        {_amount(files, size)} of at most {LIMIT // _MEBI} MiB")
    if options.json:
        print_json({"folder": where, "files": files, "bytes": size, "limit": LIMIT})
    return 0


def _amount(files: int, size: int) -> str:
    return f"{files} {'file' if files == 1 else 'files'}, {size / _MEBI:.1f} MiB"
