"""The page for annotators in a real browser: filled in with the keyboard, reloaded, exported, and read back."""

import json

import human_cases as cases
import pytest
from chain import run
from debian import Unavailable, install, program
from fdistill.artifacts.files import read_json
from fdistill.evaluation.human.ratings import read_ratings
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

PATIENCE = 60  # seconds, on a machine that does much else


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with the kit, and the key: eight inputs, with one to three texts each."""
    folder = tmp_path_factory.mktemp("kit")
    return folder, cases.kit(folder)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    try:
        install(["chromium", "chromedriver"], ["chromium", "chromium-driver"])
    except Unavailable as reason:
        pytest.skip(str(reason))
    options = webdriver.ChromeOptions()
    options.binary_location = program("chromium")
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    downloads = tmp_path_factory.mktemp("downloads")
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(program("chromedriver")))
    browser.downloads = downloads
    yield browser
    browser.quit()


@pytest.fixture
def page(browser, made):
    """The page, opened by an annotator who has not seen it."""
    browser.get((made[0] / "annotate.html").as_uri())
    browser.execute_script("localStorage.clear()")
    browser.refresh()
    yield browser
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


def text(page, name):
    return page.find_element(By.ID, name).text


def press(page, *keys):
    """Press keys one after the other, each where the focus is then."""
    ActionChains(page, duration=0).send_keys(*keys).perform()


def write_name(page, name):
    field = page.find_element(By.ID, "annotator")
    field.clear()
    field.send_keys(name)


def exported(page):
    """The file that the page exports next."""
    for file in page.downloads.iterdir():
        file.unlink()
    page.find_element(By.ID, "export").click()
    finished = WebDriverWait(page, PATIENCE).until(lambda _: [*page.downloads.glob("*.json")])
    assert text(page, "message").startswith(f"Exported to {finished[0].name}.")
    return finished[0]


def focus_first_question(page):
    """Go by Tab from the heading, as after `Next`."""
    page.execute_script("document.getElementById('heading').focus()")
    press(page, Keys.TAB)


def rate_shown(page, key, position):
    """Answer all questions of the input that is shown by digits, from the first question on; its number of texts."""
    shown = [item["item"] for item in key["items"] if item["item"].startswith(f"Q{position}-")]
    press(page, *(str(cases.rating(key, item, k)) for item in shown for k in range(len(cases.TITLES))))
    return len(shown)


def test_filled_in_with_the_keyboard_reloaded_midway_exported_and_read_back(page, made, tmp_path):
    """The focus starts on the page; only keys are pressed."""
    _, key = made
    n_inputs, n_texts, rated = len(cases.HOSTILE), len(key["items"]), 0
    while page.switch_to.active_element.get_attribute("id") != "annotator":
        press(page, Keys.TAB)
    press(page, "Ana", Keys.TAB)
    for position in range(1, n_inputs + 1):
        assert text(page, "heading") == f"Input {position} of {n_inputs}"
        rated += rate_shown(page, key, position)
        assert text(page, "progress") == f"{rated} of {n_texts} texts rated"
        if position == 4:
            page.refresh()
            assert text(page, "heading") == f"Input 4 of {n_inputs}"
            assert text(page, "progress") == f"{rated} of {n_texts} texts rated"
            assert page.find_element(By.ID, "annotator").get_attribute("value") == "Ana"
            page.execute_script("document.getElementById('next').focus()")
        if position < n_inputs:
            assert page.switch_to.active_element.get_attribute("id") == "next"
            press(page, Keys.ENTER)
            assert page.switch_to.active_element.get_attribute("id") == "heading"
            press(page, Keys.TAB)
    assert page.switch_to.active_element.get_attribute("id") == "export"
    assert text(page, "message") == "All texts are rated. Export your answers and send the file."
    file = exported(page)
    assert file.name == "colours-Ana.json"
    expected = [[cases.rating(key, item["item"], k) for k in range(3)] for item in key["items"]]
    assert read_ratings([file], key).values.tolist() == [expected]
    results = tmp_path / "results.json"
    given = ["--key", made[0] / "key.json", "--results", results, "--output", tmp_path / "table.md"]
    run("human", "table", "--ratings", file, *given)
    assert read_json(results)["annotators"] == {"Ana": 3 * n_texts}


def test_arrows_change_an_answer_and_other_digits_do_nothing(page, made):
    focus_first_question(page)
    press(page, "6", "0", "x")
    assert page.execute_script("return Object.keys(state.ratings).length") == 0
    press(page, Keys.SPACE, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    item = made[1]["items"][0]["item"]
    assert page.execute_script("return state.ratings") == {item: {"Fluency": 3}}
    press(page, Keys.TAB, Keys.ARROW_RIGHT)
    assert page.execute_script("return state.ratings") == {item: {"Fluency": 3, "MissingInfo": 2}}


def test_going_back_and_to_what_is_not_rated(page, made):
    focus_first_question(page)
    rate_shown(page, made[1], 1)
    press(page, Keys.ENTER)
    page.find_element(By.ID, "next").click()
    page.find_element(By.ID, "unrated").click()
    assert text(page, "heading").startswith("Input 4 ")
    page.find_element(By.ID, "previous").click()
    assert text(page, "heading").startswith("Input 3 ")
    for _ in range(len(cases.HOSTILE) - 1):  # round to the input before, past the first, which is rated
        page.find_element(By.ID, "unrated").click()
    assert text(page, "heading").startswith("Input 3 ")
    while page.find_element(By.ID, "previous").is_enabled():
        page.find_element(By.ID, "previous").click()
    states = [state.text for state in page.find_elements(By.CSS_SELECTOR, ".state")]
    assert text(page, "heading").startswith("Input 1 ") and set(states) == {"✓ rated"}


def test_an_export_needs_a_name_and_says_what_is_left(page, made):
    page.find_element(By.ID, "export").click()
    assert text(page, "message") == "Write your name or code at the top of the page first."
    assert page.switch_to.active_element.get_attribute("id") == "annotator"
    write_name(page, "  Björn/../7 ")
    file = exported(page)
    assert file.name == "colours-Björn_7.json" and json.loads(file.read_text())["annotator"] == "Björn/../7"
    left = f" {len(made[1]['items'])} texts are not rated; if you rate them, export again."
    assert text(page, "message").endswith(left)


def test_texts_are_shown_as_they_are(page, made):
    """Nothing in them becomes a part of the page, or moves what stands beside it."""
    seen = {}
    while True:
        cards = page.find_elements(By.CSS_SELECTOR, ".output")
        for card in cards:
            shown = card.find_element(By.CSS_SELECTOR, ".text").get_property("textContent")
            seen[card.find_element(By.TAG_NAME, "h3").get_attribute("id")] = shown
        if not page.find_element(By.ID, "next").is_enabled():
            break
        page.find_element(By.ID, "next").click()
    assert seen == {item["item"]: item["output"] for item in made[1]["items"]}
    assert page.find_elements(By.TAG_NAME, "b") == [] and page.title == "Rate texts: Colours & shapes"


def test_the_page_loads_nothing(page):
    requested = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    urls = {e["params"]["request"]["url"] for e in requested if e["method"] == "Network.requestWillBeSent"}
    assert urls and all(url.startswith(("file:", "data:", "blob:")) for url in urls), urls
    page.set_script_timeout(PATIENCE)
    blocked = "addEventListener('securitypolicyviolation', (e) => arguments[0](e.effectiveDirective))"
    assert page.execute_async_script(f"{blocked}; fetch('https://example.org').catch(() => 0)") == "connect-src"
    page.get_log("browser")  # the refusal


def test_a_browser_that_keeps_nothing_says_so(page, made):
    broken = "Storage.prototype.setItem = () => { throw new Error('full') }"
    page.execute_script(broken)
    focus_first_question(page)
    press(page, "3")
    assert text(page, "message") == "This browser does not keep your answers. Export them before you close the page."
    assert page.execute_script("return !dispatchEvent(new Event('beforeunload', {cancelable: true}))")
    write_name(page, "Ana")
    assert json.loads(exported(page).read_text())["ratings"] == {made[1]["items"][0]["item"]: {"Fluency": 3}}


def test_two_windows_do_not_overwrite_each_other(page, made):
    first = page.current_window_handle
    page.switch_to.new_window("window")
    page.get((made[0] / "annotate.html").as_uri())
    focus_first_question(page)
    press(page, "2")
    page.close()
    page.switch_to.window(first)
    stored = "return (state.ratings[arguments[0]] || {}).Fluency"
    WebDriverWait(page, PATIENCE).until(lambda _: page.execute_script(stored, made[1]["items"][0]["item"]) == 2)
    write_name(page, "Ana")
    page.refresh()
    assert page.execute_script(stored, made[1]["items"][0]["item"]) == 2


# --- for everyone

NAMED = {"radio", "button", "textbox", "group", "region", "navigation", "progressbar", "heading"}


def test_everything_has_a_name_for_a_screen_reader(page):
    """In the tree that Chromium gives to screen readers."""
    focus_first_question(page)
    nodes = page.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    names = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if not node["ignored"]]
    assert {role for role, _ in names} >= NAMED
    assert [role for role, name in names if role in NAMED and not name.strip()] == ["group"]  # what to rate, unfolded
    assert ("group", "Text A: Fluency") in names and ("radio", "5") in names and ("region", "Text A") in names
    [question] = [
        n for n in nodes if n.get("name", {}).get("value") == "Text A: Fluency" and n["role"]["value"] == "group"
    ]
    assert question["description"]["value"].startswith("Is the text natural, grammatical language? 1 = not fluent")
    live = [node.get_attribute("id") for node in page.find_elements(By.CSS_SELECTOR, "[role=status]")]
    assert live == ["progress", "message"]


CONTRAST = """
const parse = (color) => color.match(/[\\d.]+/g).map(Number);
const luminance = (color) => parse(color).slice(0, 3).map((c) => c / 255)
  .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
  .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
const behind = (node) => { for (; node; node = node.parentElement) {
  const color = getComputedStyle(node).backgroundColor; if (parse(color)[3] !== 0) return color; } };
return Math.min(...[...document.querySelectorAll("body *")]
  .filter((node) => [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim())
    && node.getClientRects().length && !node.disabled)
  .map((node) => [luminance(getComputedStyle(node).color), luminance(behind(node))].sort((a, b) => b - a))
  .map(([light, dark]) => (light + 0.05) / (dark + 0.05)));
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1400])
def test_readable_on_a_phone_and_a_desktop_in_light_and_dark(page, width, scheme):
    metrics = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 600}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    page.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    try:
        focus_first_question(page)
        press(page, "4")
        dark = page.execute_script("return matchMedia('(prefers-color-scheme: dark)').matches")
        assert dark == (scheme == "dark")
        assert page.execute_script("return document.documentElement.scrollWidth <= innerWidth")
        page.execute_script("say('A message')")
        edges = "return ['heading', 'message', 'previous'].map((id) => $(id).getBoundingClientRect().left)"
        inside = "return parseFloat(getComputedStyle($('message')).paddingLeft)"
        heading, message, previous = page.execute_script(edges)
        assert heading == previous == message + page.execute_script(inside)
        assert page.execute_script(CONTRAST) >= 4.5  # WCAG 2.2, AA
        low = page.execute_script(
            "return Math.min(...[...document.querySelectorAll('.scale label, button')].map(n => n.offsetHeight))"
        )
        assert low >= 24  # WCAG 2.2: what is pressed is at least so high
        here = "const r = document.activeElement.closest('label').getBoundingClientRect();"
        hidden = here + "return r.bottom > document.querySelector('footer').getBoundingClientRect().top"
        n_questions = len(page.find_elements(By.TAG_NAME, "fieldset"))
        for _ in range(n_questions - 2):  # the focus is never below the footer
            press(page, "4")
            assert not page.execute_script(hidden)
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
