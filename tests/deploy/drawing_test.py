"""tools/boards and tools/plots.py: which pictures make a mix, and what gnuplot is told."""

import importlib.machinery
import importlib.util
import math
import shutil
import unittest

import monitoring
import plots
import tree


def load_boards():
    """tools/boards has no .py at its end."""
    loader = importlib.machinery.SourceFileLoader("orchard_boards", str(tree.ROOT / "tools/boards"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("orchard_boards", loader))
    loader.exec_module(module)
    return module


boards = load_boards()


def chart(**changes):
    settings = {"title": "Who?", "unit": "percentunit", "lines": [("a", [(0, 0.25), (3, 0.5)])],
                "stack": False, "limit": None}
    return plots.Chart(**(settings | changes))


class MixesTest(unittest.TestCase):

    def test_a_mix_has_as_many_of_each_domain_and_more_of_the_hot_one(self):
        groups = {"rice": ["r1", "r2", "r3"], "fruit": ["f1"], "": ["u1", "u2"]}
        phases, hot = boards.mixes(groups)
        self.assertEqual(hot, "rice")
        self.assertEqual(tuple(phases), boards.PHASES)
        counts = {name: [sum(file.startswith(kind) for file in files) for kind in "rfu"]
                  for name, files in phases.items()}
        each = boards.EACH
        self.assertEqual(counts["even"], [each, each, 0])
        self.assertEqual(counts["hot"], [each * (1 + boards.HOT), each, 0])
        self.assertEqual(counts["stopped"], counts["hot"])
        self.assertEqual(counts["unknown"], [each, each, 2 * each])

    def test_pictures_of_one_domain_are_refused(self):
        with self.assertRaisesRegex(boards.BoardsError, "pictures are of 1 domain"):
            boards.mixes({"rice": ["r1"], "": ["u1"]})

    def test_a_few_pictures_of_each_folder_are_taken(self):
        names = [f"{folder}/{n}.jpg" for folder in "ab" for n in range(9)] + ["a/notes.txt"]
        with tree.planted({name: "" for name in names}) as root:
            self.assertEqual(len(boards.sampled(root)), 2 * boards.OF_A_FOLDER)

    def test_every_panel_that_is_drawn_is_on_a_board(self):
        for panels in boards.DRAWN.values():
            for board, title, _ in panels:
                found = [panel for panel in monitoring.board_panels(board)
                         if panel["title"].startswith(title)]
                self.assertEqual(len(found), 1, title)


class PlotsTest(unittest.TestCase):

    def test_areas_stand_on_each_other_and_nothing_counts_as_nothing(self):
        bands = plots.stacked([("a", [(0, 1.0), (3, math.nan)]), ("b", [(0, 2.0), (3, 5.0)])])
        self.assertEqual(bands, [("a", [(0, 0.0, 1.0), (3, 0.0, 0.0)]),
                                 ("b", [(0, 1.0, 3.0), (3, 0.0, 5.0)])])

    def test_values_are_in_the_units_of_people(self):
        script = "\n".join(plots.chart_script(0, chart(), [(2, "hot")], 9))
        self.assertIn("0 25\n3 50\n", script)
        self.assertIn('set ylabel "%"', script)
        self.assertIn('set label "hot" at first 2', script)

    def test_a_gap_ends_a_stroke(self):
        points = [(0, 1.0), (3, 2.0), (6, math.nan), (9, 3.0), (12, 4.0)]
        self.assertEqual(list(plots.data_rows(points, 10)), ["0 10", "3 20", "", "9 30", "12 40"])

    def test_a_part_that_was_never_there_is_no_area(self):
        lines = [("a", [(0, 1.0)]), ("b", [(0, 0.0)])]
        self.assertNotIn('title "b"', "\n".join(plots.chart_script(0, chart(stack=True, lines=lines),
                                                                   [], 9)))

    def test_a_limit_is_drawn_where_it_can_be_seen(self):
        self.assertIn("60 with lines", "\n".join(plots.chart_script(0, chart(limit=0.6), [], 9)))
        self.assertNotIn("dashtype 2", "\n".join(plots.chart_script(0, chart(limit=9.0), [], 9)))

    def test_text_can_not_leave_its_quotes(self):
        self.assertEqual(plots.quoted('a "b" \\'), '"a \\"b\\" \\\\"')

    @unittest.skipUnless(shutil.which("gnuplot"), "gnuplot is missing: ./dev boards installs it")
    def test_gnuplot_draws_it(self):
        empty = chart(title="Nothing?", lines=[])
        with tree.planted({}) as root:
            plots.draw(root / "x.svg", [chart(), empty, chart(stack=True, limit=0.6)], [(2, "hot")], 9)
            text = (root / "x.svg").read_text(encoding="utf-8")
        for word in ("<svg", "Who?", "Nothing?", "hot", "alert"):
            self.assertIn(word, text)


if __name__ == "__main__":
    unittest.main()
