"""The real server lets its own clients in, and nobody else: no other local user, and no web page."""

import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from flows.serve import api_url, environment, prefect
from flows.site.access import auth_string
from tests.flows import shared_server
from tests.flows.site import Site

pytestmark = [pytest.mark.usefixtures("prefect"), pytest.mark.timeout(300)]
EVIL = {"Origin": "https://evil.example", "Content-Type": "text/plain"}  # a POST that a browser sends without asking
PREFLIGHT = {
    "Origin": "https://evil.example",
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "content-type,authorization",
}


@pytest.fixture
def site(begun_server: Path) -> Site:
    return Site(begun_server / shared_server.HOME, shared_server.wait_for_port(begun_server))


def sent(site: Site, method: str, path: str, headers: dict[str, str]) -> tuple[int, str | None]:
    """Return the status and the origin whose pages may read the answer."""
    data = b'{"name": "stranger"}' if method == "POST" else None
    request = urllib.request.Request(f"{api_url(site.port)}{path}", data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            return reply.status, reply.headers["Access-Control-Allow-Origin"]
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Access-Control-Allow-Origin"]


def names_of_flows(site: Site) -> set[str]:
    return {flow["name"] for flow in site.ask("/flows/filter", {})}


def test_another_users_requests_are_refused(site: Site) -> None:
    names_of_flows(site)  # so that the token is there
    token = {name: value for name, value in site.headers().items() if name != "Authorization"}
    wrong = {**token, "Authorization": "Basic b2RkcGFydDpndWVzcw=="}
    for headers in (token, wrong):
        assert sent(site, "POST", "/flows/", headers)[0] == 401
        for path in ("/admin/settings", "/csrf-token?client=x"):
            assert sent(site, "GET", path, headers)[0] == 401
    assert "stranger" not in names_of_flows(site)


def test_a_web_pages_requests_are_refused(site: Site) -> None:
    assert sent(site, "OPTIONS", "/flows/", PREFLIGHT) == (400, None)
    assert sent(site, "POST", "/flows/", EVIL) == (403, None)
    assert sent(site, "GET", "/admin/settings", {"Origin": "https://evil.example"}) == (401, None)
    names_of_flows(site)
    status, readers = sent(site, "GET", "/admin/settings", {**site.headers(), "Origin": "https://evil.example"})
    assert (status, readers) == (200, None)  # even if it knew the secret, it could not read the answer
    assert "stranger" not in names_of_flows(site)


def test_a_request_without_a_csrf_token_is_refused(site: Site) -> None:
    names_of_flows(site)
    own = site.headers()
    without = {name: own[name] for name in ("Content-Type", "Authorization")}
    assert sent(site, "POST", "/flows/", without)[0] == 403
    assert sent(site, "POST", "/flows/", {**own, "Prefect-Csrf-Token": "guess"})[0] == 403
    assert "stranger" not in names_of_flows(site)


def test_the_command_line_is_let_in_and_nothing_shows_the_secret(site: Site) -> None:
    command = prefect("work-pool", "create", "own", "--type", "process", "--overwrite")
    done = subprocess.run(command, env=environment(site.home, site.port), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "own" in {pool["name"] for pool in site.ask("/work_pools/filter", {})}
    password = auth_string(site.home).partition(":")[2]
    files = {path for path in (site.home.parent).rglob("*") if path.is_file()} - {site.home / "auth"}
    shown = [done.stdout, done.stderr, str(site.ask("/admin/settings"))]
    assert not [text for text in shown if password in text]
    assert not [path for path in files if password.encode() in path.read_bytes()]
