"""The page in a browser, at the width of a desk and of a phone."""

import shutil

import pytest


@pytest.mark.long
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pictures_load_nothing_complains_and_nothing_overflows(report_folder, width, scheme):
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    names = ("chromium", "chromium-browser", "google-chrome")
    browser_path = next(filter(None, map(shutil.which, names)), None)
    if browser_path is None:
        pytest.skip(f"no browser: none of {', '.join(names)} is on the path")
    complaints: list[str] = []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=browser_path, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("requestfailed", lambda request: complaints.append(request.url[:80]))
        page.goto((report_folder / "report.html").as_uri())
        widths = page.evaluate("[...document.images].map(image => image.naturalWidth)")
        overflow = page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        anchors = page.evaluate(
            "[...document.querySelectorAll('nav a')].every(a => document.querySelector(a.getAttribute('href')))"
        )
        # Words of charts that leave their panel, and the size of the smallest in pixels.
        outside = page.evaluate(
            "[...document.querySelectorAll('svg text')].filter(text => {"
            " const word = text.getBoundingClientRect(), panel = text.ownerSVGElement.getBoundingClientRect();"
            " return word.left < panel.left - 1 || word.right > panel.right + 1 || word.bottom > panel.bottom + 2;"
            "}).map(text => text.textContent)"
        )
        heights = page.evaluate(
            "[...document.querySelectorAll('svg text')].map(text => text.getBoundingClientRect().height)"
        )
        table_top = page.evaluate("document.querySelector('table').getBoundingClientRect().top")
        browser.close()
    assert len(widths) == 2
    assert min(widths) > 0
    assert outside == []
    assert len(heights) > 100
    assert min(heights) > 8
    # The answer is on the first screen.
    assert table_top < 700
    assert overflow <= 0
    assert anchors
    assert complaints == []
