"""Fail closed: every verb of every route asks for a login, and the authorizer exactly once."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

from jupyter_server.serverapp import ServerApp
from tornado.routing import RuleRouter

from ds01_jupyter.app import DS01App
from ds01_jupyter.handlers.base import DS01Handler, NoRouteHandler
from ds01_jupyter.handlers.routes import ROUTES, tornado_handlers
from tests.server.conftest import Ask, RecordingAuthorizer

SERVED = 53
"""Verbs of all routes together: what is added here is added on purpose."""
VERBS = ("get", "head", "post", "put", "patch", "delete")
ACTION = {"GET": "read", "POST": "write", "DELETE": "write"}
SAMPLES = {
    "name": "x1",
    "operation_id": "0123456789abcdef",
    "gpu": "0",
    "entry_id": "1",
    "reservation_id": "1",
}
ENDLESS = {"gpus/stream": "gpus/stream?events=1"}
"""Streams without an end, and how to have one."""


def address(template: str) -> str:
    sample = re.sub(r"\{(\w+)\}", lambda found: SAMPLES[found[1]], template)
    return ENDLESS.get(sample, sample)


def every_verb() -> Iterator[tuple[str, str]]:
    """Method and address of everything that the API serves."""
    for template, handler in ROUTES:
        for verb in VERBS:
            if any(verb in base.__dict__ for base in our_classes(handler)):
                yield verb.upper(), address(template)


def our_classes(handler: type[DS01Handler]) -> list[type]:
    return [base for base in handler.__mro__ if base.__module__.startswith("ds01_jupyter")]


def served(router: RuleRouter) -> Iterator[tuple[str, type]]:
    """Pattern and handler of every route of ours that tornado knows."""
    for rule in router.rules:
        if isinstance(rule.target, RuleRouter):
            yield from served(rule.target)
        elif isinstance(rule.target, type) and rule.target.__module__.startswith("ds01_jupyter"):
            yield rule.matcher.regex.pattern, rule.target  # type: ignore[attr-defined]


def test_the_table_is_what_is_served(jp_serverapp: ServerApp, jp_base_url: str) -> None:
    expected = {
        (re.escape(jp_base_url.rstrip("/")) + pattern + "$", handler)
        for pattern, handler in tornado_handlers()
    }
    found = {
        (pattern.replace(jp_base_url.rstrip("/"), re.escape(jp_base_url.rstrip("/"))), handler)
        for pattern, handler in served(jp_serverapp.web_app.default_router)
    }
    assert found == expected
    assert len(found) == len(ROUTES) + 1


def test_the_walk_sees_the_whole_contract() -> None:
    assert len(list(every_verb())) == SERVED


def test_no_verb_is_shared_or_inherited() -> None:
    """jupyter_server's `authorized` keeps what it first saw: a shared verb would share that."""
    verbs = [
        base.__dict__[verb]
        for _, handler in ROUTES
        for base in our_classes(handler)
        for verb in VERBS
        if verb in base.__dict__
    ]
    assert len(verbs) == len({id(verb) for verb in verbs}) == len(list(every_verb()))


def test_f35_every_verb_is_decorated_by_the_book() -> None:
    """Both decorators in this order, and both arguments of the inner one."""
    book = re.compile(
        r'\s*@web\.authenticated\n\s*@authorized\("(read|write)", RESOURCE\)\n\s*async def '
    )
    sources = [
        (template, inspect.getsource(handler.__dict__[verb]))
        for template, handler in ROUTES
        for verb in VERBS
        if verb in handler.__dict__
    ]
    assert len(sources) == SERVED
    assert [template for template, source in sources if not book.match(source)] == []


def test_every_verb_has_a_name_in_the_audit_trail() -> None:
    for template, handler in ROUTES:
        own = {verb.upper() for verb in VERBS if verb in handler.__dict__}
        assert set(handler.actions) == own, template


async def test_without_a_token_everything_is_refused(
    ask: Ask, app: DS01App, authorizer: type[RecordingAuthorizer]
) -> None:
    answers: dict[Any, Any] = {}
    for headers in ({}, {"Authorization": "token wrong"}, {"Authorization": "ds01 wrong"}):
        for method, path in every_verb():
            answer = await ask(method, path, headers=headers)
            answers[method, path, *headers.values()] = (answer.status, answer.json["code"])
    assert len(answers) == 3 * SERVED
    assert {key: got for key, got in answers.items() if got != (403, "forbidden")} == {}
    assert authorizer.asked == []
    assert app._lab is None


async def test_the_authorizer_is_asked_once_with_the_right_action(
    ask: Ask, authorizer: type[RecordingAuthorizer]
) -> None:
    wrong: dict[Any, Any] = {}
    for method, path in every_verb():
        authorizer.asked.clear()
        answer = await ask(method, path)
        if authorizer.asked != [(ACTION[method], "ds01")] or answer.status in (403, 405, 500):
            wrong[method, path] = (answer.status, list(authorizer.asked), answer.body)
    assert wrong == {}


async def test_f35_who_is_not_authorized_reaches_nothing(
    ask: Ask, app: DS01App, authorizer: type[RecordingAuthorizer]
) -> None:
    authorizer.allow = False
    answers = {
        (method, path): (answer.status, answer.json["code"])
        for method, path in every_verb()
        if (answer := await ask(method, path))
    }
    assert set(answers.values()) == {(403, "forbidden")}
    assert len(authorizer.asked) == len(answers) == SERVED
    assert app._lab is None


async def test_other_verbs_are_405(ask: Ask, authorizer: type[RecordingAuthorizer]) -> None:
    known = set(every_verb())
    answers = {
        (method, path): (answer.status, answer.json["code"] if answer.body else "")
        for path in {path for _, path in known}
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "BREW")
        if (method, path) not in known and (answer := await ask(method, path))
    }
    assert len(answers) > 50
    head = {got for (method, _), got in answers.items() if method == "HEAD"}
    rest = {got for (method, _), got in answers.items() if method != "HEAD"}
    assert head == {(405, "")}
    assert rest == {(405, "method_not_allowed")}
    assert authorizer.asked == []


async def test_unknown_addresses_are_a_json_404_for_those_logged_in(ask: Ask) -> None:
    paths = ("", "nothing", "images/", "images/a/b", "images/x/dockerfile/y", "containers/x/kill")
    paths += ("operations/nothex", "operations/" + "0" * 17, "images/a%00b/dockerfile/z")
    for path in paths:
        for method in ("GET", "POST", "DELETE"):
            answer = await ask(method, path)
            assert (answer.status, answer.json["code"]) == (404, "not_found"), path
            assert (await ask(method, path, headers={})).status == 403, path
    assert NoRouteHandler.actions == {}


async def test_a_cookie_needs_its_xsrf_and_a_token_does_not(
    ask: Ask, jp_auth_header: dict[str, str], jp_base_url: str
) -> None:
    body = {"name": "nope nope"}
    assert (await ask("POST", "containers", body=body)).status == 400
    login = await ask("GET", f"{jp_base_url}api/status")
    cookie = "; ".join(
        header.split(";")[0] for header in login.headers.get_list("Set-Cookie") if header
    )
    assert "username-" in cookie
    assert (await ask("GET", "spec", headers={"Cookie": cookie})).status == 200
    refused = await ask("POST", "containers", body=body, headers={"Cookie": cookie})
    assert refused.status == 403
    assert "_xsrf" in refused.json["message"]


async def test_names_are_percent_decoded(ask: Ask) -> None:
    answer = await ask("GET", "images/caf%C3%A9%2Fx")
    assert answer.status in (400, 404)
    assert "café/x" in json_text(answer)
    assert (await ask("GET", "images/%ff%fe")).status == 400


def json_text(answer: Any) -> str:
    return str(answer.json)
