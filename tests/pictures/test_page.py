"""Pages hold what they were given, fetch nothing, and take no text for markup."""

import base64
import json
import re
from html.parser import HTMLParser

import pytest

from geodiff.pictures import page

EVIL = "</script><script>alert(1)</script>{{library}}<!--"


class Seen(HTMLParser):
    """Collects what a page would fetch, its policy and how many scripts it has."""

    def __init__(self, text: str):
        super().__init__()
        self.fetched, self.scripts, self.policy = [], 0, ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.scripts += tag == "script"
        self.fetched += [attributes[k] for k in ("src", "href") if k in attributes]
        if attributes.get("http-equiv") == "Content-Security-Policy":
            self.policy = attributes["content"]


def held(text: str) -> list[dict]:
    """The records in a page."""
    return json.loads(re.search(r"^const records = (.*);$", text, re.MULTILINE)[1])


RECORDS = [page.missing("first", "no weights"), {**page.missing(EVIL, EVIL), "group": EVIL}]


@pytest.mark.parametrize("layout", page.LAYOUTS)
def test_a_page_holds_its_records_and_forbids_fetching(tmp_path, layout):
    path = page.write(tmp_path / "new" / "a.html", EVIL, RECORDS, layout=layout, hint=EVIL)
    text = path.read_text()
    seen = Seen(text)
    assert held(text) == RECORDS
    assert seen.scripts == 2 and seen.fetched == []
    assert seen.policy.startswith("default-src 'none'") and "http" not in seen.policy
    assert f'<body class="{layout}">' in text
    assert [p.name for p in path.parent.iterdir()] == ["a.html"]


def test_only_what_is_shown_is_carried(tmp_path):
    text = page.write(tmp_path / "a.html", "t", RECORDS).read_text()
    assert len(text) < 30_000 and "kinds.molecule" not in text
    text = page.write(
        tmp_path / "b.html", "t", [{"kind": "grasp", "name": "", "caption": ""}]
    ).read_text()
    assert "kinds.grasp" in text and "kinds.molecule" not in text and len(text) > 500_000


def test_a_picture_is_carried_byte_by_byte(tmp_path):
    (tmp_path / "a.png").write_bytes(bytes(range(256)))
    record = page.picture("name", "caption", tmp_path / "a.png")
    assert (
        record["kind"] == "picture" and record["name"] == "name" and record["caption"] == "caption"
    )
    head, data = record["source"].split(",")
    assert head == "data:image/png;base64" and base64.b64decode(data) == bytes(range(256))


def test_whole_numbers_are_the_values_to_half_a_unit():
    assert page.whole([[0.126, -0.124], [3.0, 0.0]], 0.01) == [13, -12, 300, 0]


@pytest.mark.parametrize(
    "records, options, words",
    [
        ([], {}, "at least one"),
        (RECORDS, {"layout": "pile"}, "list, grid"),
        ([{"kind": "missing", "x": float("nan")}], {}, "JSON"),
    ],
)
def test_what_cannot_be_shown_is_refused(tmp_path, records, options, words):
    with pytest.raises(ValueError, match=words):
        page.write(tmp_path / "a.html", "t", records, **options)
    assert not list(tmp_path.iterdir())
