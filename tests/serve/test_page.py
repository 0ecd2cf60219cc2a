"""The page for people, in headless Chromium where there is one, and OpenAPI."""

from __future__ import annotations

import base64
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Browser
from pictures import picture, put_pictures
from served import classifier, exported, inputs, put
from texts import LETTERS, small_model
from web import asked, floats, two_inputs

pytest.importorskip("httptools")

import argand as ag
from argand.serve import ModelOptions, Server, generation

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root: Path = tmp_path_factory.mktemp("models")
    put(exported(classifier()), root, "digits", 1)
    put(two_inputs(), root, "two", 1)
    put_pictures(root)
    with Server(root, port=0, models={"digits": ModelOptions(labels={"stable": 1})}) as running:
        yield running


def test_the_page_asks_nothing_of_other_places(server: Server) -> None:
    for path in ("/", "/page/page.js", "/page/page.css", "/docs"):
        found = asked(server, "GET", path)
        policy = found.headers["content-security-policy"]
        assert found.status == 200 and "default-src 'none'" in policy
        addresses = set(re.findall(rb"https?://[^\"' ]+", found.body))
        assert addresses <= {b"http://www.w3.org/2000/svg"}
        assert b"style=" not in found.body and b"onclick" not in found.body


def test_the_page_shows_models_and_what_was_asked(server: Server) -> None:
    asked(server, "POST", "/v1/models/digits:predict", {"instances": inputs(2).tolist()})
    found = asked(server, "GET", "/page/status.json").json
    digits, _, two = found["models"]
    assert (digits["name"], digits["versions"][0]["labels"]) == ("digits", ["stable"])
    (signature,) = digits["versions"][0]["signatures"]
    (given,) = signature["inputs"]
    assert (given["datatype"], given["shape"][1], given["image"]) == ("FP32", 6, False)
    assert len(two["versions"][0]["signatures"][0]["inputs"]) == 2
    assert sum(s["requests"] for s in found["recent"]) >= 1


def test_openapi_describes_each_signature_and_language_models(tmp_path: Path) -> None:
    module = classifier()
    program = exported(module)
    shapes = ({0: ag.Dim("rows")},)
    program.add_signature("hidden", module[0], (ag.ones(2, 6),), dynamic_shapes=shapes)
    put(program, tmp_path, "digits", 1)
    text = generation.export(small_model(16), context=16, page=4, chunk=8, vocabulary=LETTERS)
    put(text, tmp_path, "letters", 1)
    with Server(tmp_path, port=0) as running:
        found = asked(running, "GET", "/openapi.json")
        assert found.status == 200
        paths = found.json["paths"]
        body = paths["/v1/models/digits:predict"]["post"]["requestBody"]["content"]
        bodies = body["application/json"]["schema"]["oneOf"]
        named = {
            (x["properties"]["signature_name"]["const"], x["required"][0]): x["required"][1:]
            for x in bodies
        }
        assert named == {
            ("serving_default", "inputs"): [],
            ("serving_default", "instances"): [],
            ("hidden", "inputs"): ["signature_name"],
            ("hidden", "instances"): ["signature_name"],
        }
        infer = paths["/v2/models/digits/infer"]["post"]["requestBody"]["content"]
        second = infer["application/json"]["schema"]["oneOf"][1]["properties"]["parameters"]
        assert second["properties"]["signature_name"] == {"const": "hidden"}
        assert {"/v1/completions", "/v1/chat/completions"} < set(paths)
        assert "/v1/models/letters:predict" not in paths
        assert asked(running, "GET", "/docs").status == 200


def test_openapi_describes_each_model(server: Server) -> None:
    document = asked(server, "GET", "/openapi.json").json
    paths = document["paths"]
    assert {"/v1/models/digits:predict", "/v2/models/two/infer", "/readyz"} <= set(paths)
    body = paths["/v1/models/digits:predict"]["post"]["requestBody"]["content"]
    _, rows = body["application/json"]["schema"]["oneOf"]
    row, alone = rows["properties"]["instances"]["items"]["anyOf"]
    assert alone == {"type": "array", "items": {"type": "number"}, "minItems": 6, "maxItems": 6}
    assert row["required"] == ["input"]
    assert b"/v2/models/two/infer" in asked(server, "GET", "/docs").body


def given(kind: str) -> str:
    """A script that chooses a model and runs it."""
    return f"""(() => {{
      const choice = document.getElementById("signature");
      choice.value = [...choice.options].find((o) => o.textContent.startsWith("{kind}")).value;
      choice.dispatchEvent(new Event("change"));
    }})()"""


DROP = """(() => {
  const bytes = Uint8Array.from(atob("%s"), (c) => c.charCodeAt(0));
  const data = new DataTransfer();
  data.items.add(new File([bytes], "a.png", { type: "image/png" }));
  const event = new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true });
  document.querySelector("fieldset").dispatchEvent(event);
})()"""
SUBMIT = 'document.querySelector("form").requestSubmit()'


@pytest.fixture(scope="module")
def page(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("there is no Chromium")
    with Browser(CHROMIUM, tmp_path_factory.mktemp("chromium")) as browser:
        browser.send("Page.navigate", url=f"{server.url}/")
        browser.wait('document.getElementById("state")?.textContent.startsWith("Ready")')
        yield browser


def test_a_browser_shows_the_models_and_what_they_take(page: Browser) -> None:
    text = page.run("document.body.innerText")
    assert "Ready: 3 models" in text
    assert "serving_default(input: float32(rows, 6)) -> (output: float32(rows, 3))" in text
    assert "1 (stable)" in text
    labels = (
        "[...document.querySelectorAll('input, select, textarea')].every((x) => x.labels.length)"
    )
    assert page.run(labels)


def test_numbers_are_typed_and_run(page: Browser) -> None:
    x = inputs(2)
    page.run(given("digits"))
    page.run(f'document.getElementById("input-input").value = "{x.tolist()}"')
    page.run(SUBMIT)
    text = page.wait('document.querySelector("#answer pre")?.textContent')
    expected = exported(classifier())(x).numpy()
    assert floats(json.loads(text)).tobytes() == expected.tobytes()
    page.run('document.getElementById("input-input").value = "[[1, 2]]"')
    page.run(SUBMIT)
    said = page.wait('document.querySelector("#answer .bad")?.textContent')
    assert "dimension 1 of the input 'input' must be 6" in said
    page.wait('document.querySelectorAll("#rates .bar").length')


def test_an_image_is_dropped_and_named(page: Browser) -> None:
    _, file = picture()
    page.run(given("pictures"))
    page.run(DROP % base64.b64encode(file).decode())
    page.wait("Object.keys(files).length")
    page.run(SUBMIT)
    assert page.wait('document.querySelectorAll("#answer li meter").length') == 3
    first = page.run('document.querySelector("#answer li").textContent')
    assert first.startswith(("cat", "dog", "owl"))
