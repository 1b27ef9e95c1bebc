"""report.html in a browser: every view, by mouse and keyboard, without an error and without a request."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from browser import Browser, find_chromium
from made_up_page import Search, made_up, with_a_dropped_trial
from made_up_trials import F1, REWARD, TOKENS, TRIALS, failed, goals, measures_of

from paretune.commands.main import main
from paretune.reporting.html.blocks import ExampleData
from paretune.reporting.live import LiveReport
from paretune.reporting.report import report
from paretune.stats import BayesianBootstrap, difference
from paretune.trials.goals import Goals
from paretune.trials.record import TrialRecord
from paretune.trials.rules import Rule
from paretune.trials.winner import Best
from paretune.tuners.status import Status

CHROMIUM = find_chromium()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        CHROMIUM is None, reason="no Chromium is installed (or named by CHROMIUM): the page is not opened"
    ),
]
VIEWS = [
    "overview", "trials", "hyperparameters", "parallel", "parallel&axes-open=1&brush-open=1", "progress", "answers",
    "examples", "trial&trial=2",
]  # fmt: skip
HOSTILE = [
    "</script><script>document.title = 'owned'</script>", "<!--<script>", "<img src=x onerror=document.title='owned'>",
    "{{7*7}}", "right\u202eto left", "\x00\x1b[31m \U0001f600", "javascript:alert(1)",
]  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all tests."""
    assert CHROMIUM is not None
    with Browser(CHROMIUM) as found:
        yield found


@pytest.fixture(scope="module")
def search() -> Search:
    """A small search, whose first inputs and replies want to be more than text."""
    return made_up(8, 90, words=6, texts=HOSTILE)


@pytest.fixture(scope="module")
def page(search: Search, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its page."""
    return search.write(tmp_path_factory.mktemp("page"), title="emotion <b>")


def count(browser: Browser, selector: str) -> int:
    """How many elements a selector names."""
    return int(browser.evaluate(f"document.querySelectorAll({selector!r}).length"))


def test_every_view_is_drawn_without_an_error_or_a_request(browser: Browser, page: Path) -> None:
    """Nothing is said in the console, and nothing is asked for but the file itself; on a phone nothing is too wide."""
    for width, dark in [(1280, False), (390, True)]:
        browser.look(width, 900, dark=dark)
        browser.open(page)
        for view in VIEWS:
            browser.go(f"#view={view}&width={width}")
            assert "cannot be shown" not in browser.text("main")
            assert count(browser, "main h1") == 1
            assert browser.evaluate("document.documentElement.scrollWidth") <= width, view
        assert browser.messages == []
        assert [each for each in browser.requests if each.startswith("http")] == []


def test_every_view_of_what_was_not_measured(browser: Browser, tmp_path: Path) -> None:
    """Imported results without tokens, dollars and seconds: these are unknown, and nothing fails for want of them."""
    path = tmp_path / "results.csv"
    rows = [f"{model},{item},{(item + len(model)) % 2}" for model in ("a", "bb", "cc") for item in range(20)]
    path.write_text("\n".join(["model,item,score", *rows]) + "\n")
    main(["import", str(path), "-o", str(tmp_path / "out")])
    browser.open(tmp_path / "out" / "report.html")
    for view in [*VIEWS, "trials&trial=2", "examples&example=3", "examples&trial=1&vs=2"]:
        browser.go(f"#view={view}")
        assert "cannot be shown" not in browser.text("main")
        assert not {"null", "NaN", "undefined"} & set(browser.text("main").split()), view
    assert browser.messages == []


def test_the_policy_stops_a_script_that_comes_in(browser: Browser, page: Path) -> None:
    """Even what got into the page as markup could neither run nor load anything."""
    browser.open(page)
    browser.evaluate(
        "document.body.insertAdjacentHTML('beforeend', `<img src='http://127.0.0.1:9/x' onerror='window.owned = 1'>`);"
        "const script = document.createElement('script'); script.textContent = 'window.owned = 1';"
        "document.body.append(script)"
    )
    assert browser.evaluate("new Promise((done) => setTimeout(() => done(window.owned === undefined), 100))")
    assert any("Content Security Policy" in message for message in browser.messages)
    assert not any("127.0.0.1" in address for address in browser.requests)


def test_hostile_texts_are_shown_as_text(browser: Browser, page: Path, search: Search) -> None:
    """The input and the reply stand there as they are; what cannot be seen is named."""
    browser.open(page)
    for place, text in enumerate(HOSTILE):
        browser.go(f"#view=examples&example={place + 1}")
        shown = browser.text("#example .verbatim")
        assert shown == text.replace("\u202e", "‹U+202E›").replace("\x00", "␀").replace("\x1b", "␛")
        assert count(browser, "#example img, #example script") == 0
    assert browser.evaluate("document.title").endswith("emotion <b> · paretune")
    assert browser.messages == []


def test_the_overview_tells_the_winner(browser: Browser, page: Path, search: Search) -> None:
    """The sentence of why, the test's interval, the gain, the looks, and a point for each trial."""
    browser.open(page)
    text = browser.text("main")
    assert search.best.why[1:] in text and search.best.doubt[1:] in text
    for part in (
        "0.66 (0.59–0.72)",
        "+0.46 (0.38 to 0.54)",
        "looked at once",
        "Smallest difference shown",
        "$1.25",
        "Trial 4, test",
        "+0.41 (0.33 to 0.50)",
        "agreement with people",
        "0.90 (0.77–0.96)",
    ):
        assert part in text, part
    browser.wait("document.querySelectorAll('.stage .mark').length === 8")
    assert count(browser, ".stage .mark.winner") == 1 and count(browser, ".stage .bar") > 8


def test_axes_can_be_chosen_and_are_in_the_link(browser: Browser, page: Path) -> None:
    """Another axis changes the chart and the address, and the address alone brings it back."""
    browser.open(page)
    browser.evaluate(
        "(() => { const list = document.querySelector('main select'); list.value = 'temperature';"
        "list.dispatchEvent(new Event('change')) })()"
    )
    browser.wait("document.querySelector('.stage .axis')?.textContent === 'temperature'")
    assert "x=temperature" in browser.evaluate("location.hash")
    browser.open(page, "#view=overview&x=temperature")
    browser.wait("document.querySelector('.stage .axis')?.textContent === 'temperature'")


def test_the_chart_is_read_by_keyboard(browser: Browser, page: Path) -> None:
    """The arrow keys go from point to point, say each one, and Enter opens its trial."""
    browser.open(page)
    browser.wait("document.querySelectorAll('.stage .mark').length === 8")
    browser.evaluate("document.querySelector('.stage').focus()")
    browser.press("ArrowRight", "ArrowRight")
    said = browser.text(".chart [role=status]")
    assert "Trial " in said and "reward: 0." in said
    browser.press("Enter")
    browser.wait("location.hash.includes('view=trial')")
    number = said.split("Trial ")[1].split(",")[0]
    browser.wait(f"document.querySelector('main h1').textContent.includes('Trial {number}')")


def test_tab_reaches_every_control_in_the_order_of_reading(browser: Browser, page: Path) -> None:
    """Each press of Tab goes to a later element, and the focus can be seen."""
    browser.look(1280, 900)
    browser.open(page, "#view=trials")
    names = []
    for _ in range(16):
        browser.evaluate("window.last = document.activeElement")
        browser.press("Tab")
        names.append(browser.evaluate("document.activeElement.textContent.trim().slice(0, 20)"))
        assert browser.evaluate(
            "window.last.compareDocumentPosition(document.activeElement) & 4 || window.last.tagName === 'BODY'"
        )
        assert browser.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert names[0] == "Skip to the content" and names[1:3] == ["Overview", "Trials"] and "Columns" in names


def test_the_table_sorts_filters_and_chooses_columns(browser: Browser, page: Path, search: Search) -> None:
    """A header sorts, first the best, then the other way round; a word keeps the trials that have it."""
    rewards = {int(record.trial): record.metrics["val_reward"] for record in search.records}
    column = "[...document.querySelectorAll('tbody td:first-child a')].map((link) => Number(link.textContent.slice(6)))"
    click = "[...document.querySelectorAll('th button')].find((each) => each.textContent.startsWith('reward')).click()"
    browser.open(page, "#view=trials")
    browser.evaluate(click)
    found = browser.evaluate(column)
    assert [rewards[each] for each in found] == sorted(rewards.values(), reverse=True)
    assert count(browser, "th[aria-sort=descending]") == 1
    browser.evaluate(click)
    assert [rewards[each] for each in browser.evaluate(column)] == sorted(rewards.values())
    assert "sort=-val_reward" in browser.evaluate("location.hash")
    browser.go("#view=trials&q=m-1")
    assert browser.evaluate(column) == [int(each.trial) for each in search.records if each.values["model"] == "m-1"]
    browser.go("#view=trials&columns=calls")
    assert browser.evaluate("[...document.querySelectorAll('th')].map((each) => each.textContent)") == [
        "Trial",
        "Calls",
    ]


def test_brushes_filter_the_table(browser: Browser, page: Path, search: Search) -> None:
    """A brush drawn by mouse, one by keyboard, and those of a link keep the trials that pass them all, and of these the
    best; a click on the axis ends one."""
    values = {int(record.trial): record.values for record in search.records}
    rewards = {int(record.trial): record.metrics["val_reward"] for record in search.records}
    column = "[...document.querySelectorAll('tbody td:first-child a')].map((link) => Number(link.textContent.slice(6)))"

    browser.look(1280, 900)
    browser.open(page, "#view=parallel&in.temperature=0.1..0.6")
    browser.wait("document.querySelectorAll('.line').length === 8")
    inside = [number for number, each in values.items() if 0.1 <= each["temperature"] <= 0.6]
    assert 0 < len(inside) < 8 and browser.evaluate(column) == inside
    assert count(browser, ".line.out") == 8 - len(inside) and count(browser, "rect.brush[y]") == 1
    browser.go("#view=parallel&in.temperature=0.1..0.6&top=1")
    assert browser.evaluate(column) == [max(inside, key=lambda number: rewards[number])]
    browser.go("#view=parallel&brush-open=1")
    browser.evaluate("[...document.querySelectorAll('fieldset input')].at(-4).focus()")  # the least reward
    browser.evaluate(
        "(() => { const field = document.activeElement; field.value = 0.6;field.dispatchEvent(new Event('change')) })()"
    )
    browser.wait("location.hash.includes('in.val_reward=0.6..')")
    assert browser.evaluate(column) == [number for number, reward in rewards.items() if reward >= 0.6]

    browser.go("#view=parallel")
    browser.wait("document.querySelectorAll('.line').length === 8")
    x, y = browser.evaluate(
        "(() => { const area = document.querySelectorAll('.grip')[0].getBoundingClientRect();"
        "return [area.x + area.width / 2, area.y] })()"
    )
    first = browser.evaluate("document.querySelectorAll('.tag.plain')[0].textContent")
    drag(browser, x, y + 1, y + 80)
    browser.wait("location.hash.includes('in.')")
    kept = browser.evaluate(column)
    assert 0 < len(kept) < 8 and first != ""
    for attempt in range(10):  # the page draws itself anew after a brush, and what is pressed then may be gone
        drag(browser, x, y + 20, y + 20)
        with contextlib.suppress(TimeoutError):
            browser.wait("!location.hash.includes('in.')", 60 if attempt == 9 else 2)
            break
    assert not browser.evaluate("location.hash.includes('in.')")
    assert len(browser.evaluate(column)) == 8 and browser.messages == []


def drag(browser: Browser, x: float, start: float, end: float) -> None:
    """Press the mouse at one height, and let it go at another one."""
    for kind, y in (("mousePressed", start), ("mouseMoved", end), ("mouseReleased", end)):
        browser.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1)


def test_an_axis_of_what_not_every_trial_has(browser: Browser, search: Search, tmp_path: Path) -> None:
    """Trials without a conditional hyperparameter go through a place of their own, and can be brushed."""
    records = [
        replace(record, values={**record.values, **({"sharpness": int(record.trial) / 7} if place % 2 else {})})
        for place, record in enumerate(search.records)
    ]
    browser.open(replace(search, records=records).write(tmp_path), "#view=parallel&in.sharpness=%2Babsent")
    browser.wait("document.querySelectorAll('.line').length === 8")
    texts = browser.evaluate("[...document.querySelectorAll('.tag.plain')].map((each) => each.textContent)")
    assert texts.count("absent") == 1
    assert count(browser, "tbody tr") == 4 and count(browser, ".line.out") == 4
    browser.go("#view=parallel&in.sharpness=0.3..")
    assert count(browser, "tbody tr") == 4 - sum(int(each.trial) / 7 < 0.3 for each in records[1::2])
    assert browser.messages == []


@pytest.mark.parametrize("view", ["overview", "parallel"])
def test_a_chart_is_saved(browser: Browser, page: Path, view: str) -> None:
    """As SVG with its colours inside, and as PNG; nothing is asked for."""
    browser.open(page, f"#view={view}")
    browser.wait("document.querySelector('.stage svg') !== null")
    browser.evaluate(
        "window.saved = []; const make = URL.createObjectURL.bind(URL);"
        "URL.createObjectURL = (blob) => { window.saved.push(blob); return make(blob) };"
        "HTMLAnchorElement.prototype.click = function () { window.named = this.download }"
    )
    browser.evaluate("document.querySelectorAll('.saving button').forEach((each) => each.click())")
    browser.wait("window.saved.length === 2")
    svg = browser.evaluate("window.saved[0].text()")
    assert svg.startswith("<svg") and 'fill="rgb(' in svg and "class=" not in svg and "var(" not in svg
    assert browser.evaluate("window.saved[1].type") == "image/png" and browser.evaluate("window.saved[1].size") > 5000
    assert browser.evaluate("window.named").endswith(".png")
    assert browser.messages == [] and not [each for each in browser.requests if each.startswith("http")]


def test_the_page_of_a_running_search_opens_itself_again(
    browser: Browser, search: Search, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It tells how the search goes and that there is no test, shows what was drawn since at the same place, and waits
    while somebody types."""
    monkeypatch.setattr("paretune.reporting.live._AGAIN_S", 1)
    status = Status(
        record="r.jsonl", goals=search.best.goals, rule=Rule(), scoring=None, ledgers=(), total=9, running={},
        answered=9, paid=9, spent_usd=0.5, began=time.time(),
    )  # fmt: skip
    live = LiveReport(tmp_path, "emotion", resamples=100)

    def draw(count: int, running: bool = True) -> Path:
        records = search.records[:count]
        measures = {record.trial: search.measures[record.trial] for record in records}
        return live.draw(status, running, records, measures, lambda: search.data)

    browser.open(draw(1))
    assert "1 of 9 trials" in browser.text("main")
    browser.call("Page.navigate", url=draw(0).as_uri())
    browser.wait("document.querySelector('main')?.textContent.includes('0 of 9 trials')")
    draw(3)
    browser.wait("document.querySelector('.live')?.textContent.includes('3 of 9 trials are finished')")
    assert "no test result yet" in browser.text("main") and "Best so far: trial" in browser.text("main")
    browser.go("#view=trials&q=m-1")
    browser.evaluate("document.querySelector('#filter').focus()")
    draw(5)
    time.sleep(2)
    assert "3 of 9" in browser.text("main")
    browser.evaluate("document.activeElement.blur()")
    browser.wait("document.querySelector('.eyebrow')?.textContent.includes('5 of 9')", 10)
    assert "q=m-1" in browser.evaluate("location.hash") and count(browser, "tbody tr") == 2
    draw(8, running=False)
    browser.wait("document.querySelector('.eyebrow')?.textContent.includes('has stopped, 8 of 9')", 10)
    for view in VIEWS:
        browser.go(f"#view={view}&ended=1")
        assert "cannot be shown" not in browser.text("main")
    assert browser.messages == []


def test_two_trials_side_by_side(browser: Browser, page: Path, search: Search) -> None:
    """The difference is that of the statistics core, the counts are those of the rewards, and a filter keeps them."""
    first, second = (next(one for one in search.measures[trial] if one.name == "reward") for trial in ("0003", "0005"))
    expected = difference(first, second, BayesianBootstrap(90))
    a, b = first.example_values, second.example_values
    only = int((a > b).sum())
    browser.open(page, "#trial=3&vs=5")
    text = browser.text("main .lead")
    decimals = 2
    assert f"{abs(expected.value):.{decimals}f}" in text and f"{abs(expected.lo):.{decimals}f}" in text
    assert (
        f"on {expected.n} examples" in text and f"A is better on {only}" in text and f"{expected.p_value:.3f}" in text
    )
    browser.go("#trial=3&vs=5&show=a")
    assert count(browser, ".list li") == min(only, 60)
    places = browser.evaluate("[...document.querySelectorAll('.list .place')].map((each) => Number(each.textContent))")
    assert places == [place + 1 for place in range(90) if a[place] > b[place]][:60]
    assert count(browser, ".answer") == 2


def test_words_that_differ_stand_out(browser: Browser, page: Path) -> None:
    """Of two replies side by side, what the other one does not have in the same place; each text stays whole."""
    browser.open(page, "#trial=3&vs=5&example=20")
    one, other = browser.evaluate(
        "[...document.querySelectorAll('[aria-label=reply]')].map((each) => each.textContent)"
    )
    rest = browser.evaluate(
        "[...document.querySelectorAll('[aria-label=reply]')].map((each) => { const copy = each.cloneNode(true);"
        "copy.querySelectorAll('mark').forEach((word) => word.remove());"
        "return copy.textContent.trim().split(/\\s+/) })"
    )
    assert one != other and count(browser, "[aria-label=reply] mark") > 0
    assert rest[0] == rest[1]  # what is not marked is the same in both


def test_an_example_is_a_link(browser: Browser, page: Path, search: Search) -> None:
    """``#trial=2&example=17`` opens it: prompt, reply, gold output and reward; the next one is a click away."""
    browser.open(page, "#trial=2&example=17")
    outcome = search.records[1].replicates[0].examples[16]
    text = browser.text("#example")
    assert search.data.x[16]["text"] in text and search.data.y[16]["label"] in text
    assert f"reward {int(outcome.reward)}" in text if outcome.reward is not None else "not scored" in text
    assert "Which emotion? Shots:" in text and "Reply of m-2 to generator" in text
    browser.evaluate("document.querySelector('#after').click()")
    browser.wait("document.querySelector('#example h2')?.textContent === 'Example 18'")


def test_the_list_stays_where_it_was(browser: Browser, page: Path) -> None:
    """A click on an example far down does not scroll the list back, and a link to one brings it into sight."""
    browser.look(1280, 700)
    inside = (
        "(() => { const list = document.querySelector('.list').getBoundingClientRect();"
        "const entry = document.querySelector('.list [aria-current]').getBoundingClientRect();"
        "return entry.top >= list.top && entry.bottom <= list.bottom })()"
    )
    browser.open(page, "#trial=2&example=50")
    assert browser.evaluate("document.querySelector('.list').scrollTop") > 0 and browser.evaluate(inside)
    before = browser.evaluate("document.querySelector('.list').scrollTop")
    browser.evaluate("document.querySelectorAll('.list a')[51].click()")
    browser.wait("document.querySelector('#example h2')?.textContent === 'Example 52'")
    assert browser.evaluate("document.querySelector('.list').scrollTop") == before and browser.evaluate(inside)


def test_classes_and_failures(browser: Browser, page: Path, search: Search) -> None:
    """F1 by class agrees with the definition, and a count of cut-off replies leads to their examples."""
    record = search.records[0]
    pairs = [
        (gold["label"], None if one.output is None else one.output["label"])
        for gold, one in zip(search.data.y, record.outcomes, strict=True)
        if one.status != "failed"
    ]
    both = sum(gold == answer == "joy" for gold, answer in pairs)
    f1 = 2 * both / sum((gold == "joy") + (answer == "joy") for gold, answer in pairs)
    browser.open(page, "#view=answers&trial=1")
    row = browser.evaluate(
        "[...document.querySelectorAll('tbody tr')].find((row) => row.textContent.startsWith('joy')).textContent"
    )
    assert f"{f1:.3g}" in row
    cut = next(each for each in search.records if any(one.kind == "cut_off" for one in each.outcomes))
    browser.go(f"#view=examples&trial={int(cut.trial)}&show=state-c")
    assert count(browser, ".list li") == sum(one.kind == "cut_off" for one in cut.outcomes)
    assert "cut off" in browser.text("#example")


def test_a_race_is_told(browser: Browser, search: Search, tmp_path: Path) -> None:
    """Who was dropped after how many examples, by whom, and what that saved; a pair is compared on what both ran."""
    browser.open(with_a_dropped_trial(search).write(tmp_path), "#view=progress")
    row = browser.evaluate("document.querySelector('tbody tr').textContent")
    assert row.startswith("Trial 83Trial 137reward 0.3 lower") and "saved 37 calls" in browser.text("main")
    browser.go("#trial=8&vs=2&example=1")
    assert "on 3 examples" in browser.text("main .lead") and "did not run this example" in browser.text("#example")
    browser.go("#view=answers&trial=8")
    assert browser.messages == []


@pytest.mark.parametrize(
    ("records", "aims", "rule"),
    [
        ([*TRIALS, failed()], goals(REWARD), Rule("best_score")),
        (TRIALS, goals(REWARD, TOKENS, constraints=["val_tokens_per_request <= 100"]), Rule(allow_broken=True)),
        (TRIALS[:1], goals(REWARD, F1, TOKENS), Rule()),
    ],
    ids=["one objective", "no trial keeps the constraint", "one trial"],
)
def test_an_odd_search_is_shown(
    browser: Browser, tmp_path: Path, records: list[TrialRecord], aims: Goals, rule: Rule
) -> None:
    """Without examples, with a failed trial, with nothing to compare: each view says what it has, and links of other
    reports are told as such."""
    measures = measures_of(records)
    best = Best.of(records, aims, rule, measures=measures)
    browser.open(report(records, measures, best, tmp_path, examples=ExampleData([], []), resamples=100)[-1])
    for view in [*VIEWS, "trial&trial=9", "examples&trial=77&vs=88&example=999&show=other"]:
        browser.go(f"#view={view}")
        assert "cannot be shown" not in browser.text("main"), view
    browser.go("#view=other")
    assert "no such view" in browser.text("main") and browser.messages == []


def test_a_large_search_is_soon_usable(browser: Browser, tmp_path: Path) -> None:
    """200 trials on 300 examples: the frontier is drawn before the examples are read, within a few empty pages."""
    page = made_up(200, 300).write(tmp_path)
    browser.open(page)
    browser.wait("document.querySelectorAll('.stage .mark').length === 200")
    assert browser.evaluate("performance.memory.usedJSHeapSize") < 60e6
    browser.go("#view=trials")
    assert count(browser, "tbody tr") == 100
    browser.evaluate("document.querySelector('.more button').click()")
    assert count(browser, "tbody tr") == 200
