"""The page as people use it: odd names, wrong texts, several images, tokens, a small screen."""

from __future__ import annotations

import base64
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import Browser
from served import put
from texts import GPT

pytest.importorskip("httptools")

import argand as ag
from argand.export import card
from argand.serve import ModelOptions, Server, generation

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
EVIL = "<img src=x onerror=window.evil=1>"
ROWS = {0: ag.Dim("n")}


def brightness(x: Any) -> Any:
    return x.float().mean((1, 2, 3))


def models(root: Path) -> None:
    """What the tests ask."""
    flat, image = ag.ones(2, 2), ag.ones(2, 3, 8, 8)
    export = ag.export.export
    put(export(lambda x: x * 2, (flat,), dynamic_shapes=(ROWS,)), root, EVIL, 1)
    put(export(lambda x: x * 1, (flat.long(),), dynamic_shapes=(ROWS,)), root, "whole", 1)
    put(export(lambda x: ~x, (flat.bool(),), dynamic_shapes=(ROWS,)), root, "bools", 1)
    put(export(brightness, (image.to(ag.uint8),), dynamic_shapes=(ROWS,)), root, "bytes", 1)
    last = export(brightness, (image.permute(0, 2, 3, 1),), dynamic_shapes=(ROWS,))
    put(last, root, "channels", 1)
    both = export(
        lambda a, b, k: (brightness(a) - brightness(b)) * k,
        (image, image, ag.ones(2)),
        dynamic_shapes=(ROWS, ROWS, ROWS),
    )
    both.card = {"inputs": {"a": card.image(), "b": card.image()}}
    put(both, root, "both", 1)
    ag.manual_seed(0)
    put(
        generation.export(GPT(6, 1, 1, 8, 32).eval(), context=32, vocabulary=list("abc xy")),
        root,
        "words",
        1,
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("models")
    models(root)
    with Server(root, port=0, models={EVIL: ModelOptions(labels={EVIL: 1})}) as running:
        yield running


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("there is no Chromium")
    with Browser(CHROMIUM, tmp_path_factory.mktemp("chromium")) as found:
        yield found


@pytest.fixture
def page(server: Server, browser: Browser) -> Browser:
    browser.send("Page.navigate", url=f"{server.url}/")
    browser.wait('document.getElementById("state")?.textContent.startsWith("Ready")')
    return browser


def choose(page: Browser, model: str) -> None:
    page.run(f"""(() => {{
      const choice = document.getElementById("signature");
      const wanted = [...choice.options].find((o) => o.textContent.startsWith({json.dumps(model)}));
      choice.value = wanted.value;
      choice.dispatchEvent(new Event("change"));
    }})()""")


def type_in(page: Browser, field: str, text: str) -> None:
    page.run(f"document.getElementById({json.dumps(field)}).value = {json.dumps(text)}")


def picture() -> tuple[np.ndarray, bytes]:
    """An image of the size that the models take, and its file."""
    image = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    file = io.BytesIO()
    image.fromarray(pixels).save(file, "PNG")
    return pixels, file.getvalue()


def drop(page: Browser, field: int, image: bytes) -> None:
    page.run(f"""(() => {{
      const packed = atob("{base64.b64encode(image).decode()}");
      const data = new DataTransfer();
      const bytes = Uint8Array.from(packed, (c) => c.charCodeAt(0));
      data.items.add(new File([bytes], "a.png", {{ type: "image/png" }}));
      const how = {{ dataTransfer: data, bubbles: true, cancelable: true }};
      const event = new DragEvent("drop", how);
      document.querySelectorAll("fieldset")[{field}].dispatchEvent(event);
    }})()""")


def answer(page: Browser) -> str:
    """What stands there after the form was sent."""
    page.run('document.getElementById("answer").replaceChildren()')
    page.run('document.querySelector("form").requestSubmit()')
    return page.wait('document.querySelector("#answer pre, #answer .bad")?.textContent')


def test_names_are_no_html(page: Browser) -> None:
    assert EVIL in page.run("document.getElementById('models').innerText")
    choose(page, EVIL)
    type_in(page, "input-x", json.dumps([[EVIL, EVIL]]))
    assert answer(page) == "x: FP32 are no strings"
    assert page.run("window.evil ?? null") is None


@pytest.mark.parametrize(
    ("model", "text", "expected"),
    [
        ("whole", "[[9007199254740993, -1]]", "[9007199254740993,-1]"),
        ("whole", "[[1, 2]", "x: Expected ',' or ']' after array element"),
        ("whole", " ", "x: nothing is given; type numbers as JSON"),
        (EVIL, "[[NaN, 1.5]]", "[NaN,3]"),
        (EVIL, "[[-Infinity, 0]]", "[-Infinity,0]"),
        ("bools", None, "[true,true]"),
    ],
)
def test_what_was_typed_is_sent_as_it_stands(
    page: Browser, model: str, text: str | None, expected: str
) -> None:
    choose(page, model)
    if text is not None:
        type_in(page, "input-x", text)
    assert answer(page).startswith(expected)


def test_pixels_come_as_the_input_has_them(page: Browser) -> None:
    pixels, file = picture()
    for model, scale in (("bytes", 1.0), ("channels", 255.0)):
        choose(page, model)
        drop(page, 0, file)
        page.wait('/[1-9]/.test(document.getElementById("input-x").value)')
        (found,) = json.loads(answer(page))
        assert found == pytest.approx(pixels.mean() / scale, abs=1e-3)


def test_two_images_and_a_number_go_together(page: Browser) -> None:
    _, file = picture()
    choose(page, "both")
    for field in range(2):
        drop(page, field, file)
    page.wait("Object.keys(files).length === 2")
    type_in(page, "input-k", "[3]")
    assert answer(page) == "[0]"


def test_a_language_model_takes_a_prompt_and_writes_on(page: Browser) -> None:
    choose(page, "words")
    type_in(page, "prompt", "abc")
    type_in(page, "most", "5")
    page.run('document.querySelector("form").requestSubmit()')
    page.wait('document.querySelector("#answer pre")?.textContent.length === 8')
    type_in(page, "prompt", "q")
    assert "'q' is not in the vocabulary" in answer(page)
    assert "generates text" in page.run("document.getElementById('models').innerText")


def test_a_small_screen_is_not_wider_than_it_is(page: Browser) -> None:
    page.send(
        "Emulation.setDeviceMetricsOverride",
        width=340,
        height=700,
        deviceScaleFactor=1,
        mobile=True,
    )
    choose(page, "both")
    assert page.run("document.documentElement.scrollWidth") == 340
    page.send("Emulation.clearDeviceMetricsOverride")


def test_a_server_with_tokens_asks_for_one(browser: Browser, tmp_path: Path) -> None:
    program = ag.export.export(lambda x: x * 2, (ag.ones(2),))
    put(program, tmp_path, "mine", 1)
    with Server(tmp_path, port=0, tokens={"mine": "secret"}) as server:
        browser.send("Page.navigate", url=f"{server.url}/")
        browser.wait('document.getElementById("state")?.textContent.includes("asks for a token")')
        type_in(browser, "token", "secret")
        browser.run('document.getElementById("token").dispatchEvent(new Event("change"))')
        browser.wait('document.getElementById("state").textContent === "Ready: 1 model"')
        assert answer(browser) == "[0,0]"
