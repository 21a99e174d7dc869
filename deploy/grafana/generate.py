#!/usr/bin/env python3
"""Writes the dashboards of boards.py as Grafana's JSON, one file a board.

Usage: deploy/grafana/generate.py [FOLDER], by default the folder of this file. The files are
committed; tests/deploy/boards_test.py holds them to what this writes.
"""

import json
import pathlib
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import boards  # noqa: E402  (its folder is on the path only now)


def write(folder):
    for name, board in boards.all_boards().items():
        text = json.dumps(board, indent=1, ensure_ascii=False) + "\n"
        (folder / f"{name}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent))
