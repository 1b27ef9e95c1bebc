"""How large report.html gets, how long it takes to write and, where a Chromium is installed, to open.

    python benchmarks/page.py [--trials 500] [--examples 1000] [--words 0] [--max-mb 20] [--keep FILE]

``--words 50`` gives each reply a thought of 50 words (about 285 characters), of which a quarter are others in each
trial. The seconds until the page can be used are told as they are and, since machines differ, as a multiple of those
of an empty page.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "helpers"))

from browser import Browser, find_chromium
from made_up_page import made_up

READY = "document.querySelectorAll('.stage circle, .stage path.mark').length"


def main() -> None:
    """Print one line a number."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--examples", type=int, default=1000)
    parser.add_argument("--words", type=int, default=0)
    parser.add_argument("--max-mb", type=float, default=20.0)
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    search = made_up(options.trials, options.examples, words=options.words)
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        page = search.write(Path(folder), max_mb=options.max_mb)
        print(f"{options.trials} trials x {options.examples} examples, {options.words} words of thought")
        size, seconds = page.stat().st_size / 1e6, time.perf_counter() - started
        print(f"size {size:.2f} MB, written with the other reports in {seconds:.1f} s")
        if options.keep:
            shutil.copy(page, options.keep)
        program = find_chromium()
        if program is None:
            print("no Chromium: opening was not measured")
            return
        with Browser(program) as browser:
            opening(browser, page)


def opening(browser: Browser, page: Path) -> None:
    """Print how long the page takes to open, and one of its examples."""
    empty = page.with_name("empty.html")
    empty.write_text("<!doctype html><title>empty</title><nav aria-label=Views>", encoding="utf-8")
    for _ in range(3):
        seconds = []
        for file in (empty, page):
            started = time.perf_counter()
            browser.open(file)
            if file is page:
                browser.wait(f"{READY} > 0")
            seconds.append(time.perf_counter() - started)
        browser.wait("document.readyState === 'complete'")
        whole = browser.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
        started = time.perf_counter()
        browser.go("#view=examples&trial=1&example=17")
        browser.wait("document.querySelector('.verbatim') !== null")
        example = time.perf_counter() - started
        heap = browser.evaluate("performance.memory.usedJSHeapSize") / 1e6
        print(
            f"usable after {seconds[1]:.2f} s (an empty page: {seconds[0]:.2f} s), read to its end after {whole:.0f} ms"
        )
        print(f"  an example opens in {1000 * example:.0f} ms, heap {heap:.0f} MB")


if __name__ == "__main__":
    main()
