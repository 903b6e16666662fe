"""What a model wrote, as HTML."""

from __future__ import annotations

import re

import pytest

from runbook.markdown import Markdown, to_html

SERVER = "http://evil.example/x.png"


@pytest.mark.parametrize(
    "text",
    [
        f'<img src="{SERVER}">',
        f"![a chart]({SERVER})",
        f'![a chart]({SERVER} "title")',
        f"![a chart][ref]\n\n[ref]: {SERVER}",
        f'<div style="background: url({SERVER})">x</div>',
        f'<script>fetch("{SERVER}")</script>',
        f"<iframe src='{SERVER}'></iframe>",
        f'[x]({SERVER}) <svg onload="alert(1)">',
        f'[a](http://a"onmouseover="alert(1)) <{SERVER}>',
        f"![nested ![b]({SERVER})]({SERVER})",
    ],
)
def test_nothing_in_it_asks_a_server_or_acts(text: str) -> None:
    html = to_html(text)
    tags = re.findall(r"<[^>]*>", html)
    names = {found[1] for tag in tags if (found := re.match(r"</?([a-z0-9]+)", tag))}
    assert names <= {"p", "a", "small", "h1"}, html
    assert not any(re.search(r"\s(src|style|on\w+)=", re.sub(r'"[^"]*"', '""', tag)) for tag in tags), html


def test_a_link_says_where_it_leads_and_tells_nobody_who_follows_it() -> None:
    html = to_html("[the *docs*](https://example.com:8443/a?b=c)")
    assert '<a href="https://example.com:8443/a?b=c" target="_blank" rel="noopener noreferrer nofollow">' in html
    assert "the <em>docs</em></a> <small>(example.com:8443)</small>" in html


def test_who_a_link_pretends_to_be_is_not_its_host() -> None:
    assert "<small>(evil.example)</small>" in to_html("[x](https://aws.amazon.com@evil.example/)")


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "/lab/api", "//evil", "ftp://a/b", "#a"]
)
def test_what_is_no_page_of_the_web_is_no_link(url: str) -> None:
    assert "<a" not in to_html(f"[x]({url}) ![y]({url})")


def test_an_image_is_a_link_to_it() -> None:
    assert "[image: a chart]</a> <small>(evil.example)</small>" in to_html(f"![a chart]({SERVER})")


def test_links_within_one_another_keep_their_hosts() -> None:
    html = to_html("[one](http://one.example) and [![two](http://two.example)](http://three.example)")
    assert re.findall(r"\(([a-z]+\.example)\)", html) == ["one.example", "two.example", "three.example"]


def test_structure_is_kept() -> None:
    html = to_html("# Heading\n\n- **bold**\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```\n<b>\n```\n")
    for part in ("<h1>Heading</h1>", "<strong>bold</strong>", "<td>1</td>", "<pre><code>&lt;b&gt;\n"):
        assert part in html


def test_what_acts_instead_of_being_seen_is_seen() -> None:
    assert "\u202e" not in to_html("a\u202eb \x1b[31m")


def test_in_a_notebook_nothing_is_a_formula() -> None:
    assert Markdown("It costs $5 to $x^2$")._repr_html_() == (
        '<div class="mathjax_ignore tex2jax_ignore"><p>It costs $5 to $x^2$</p>\n</div>'
    )
