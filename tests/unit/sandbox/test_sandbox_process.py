"""The sandbox as a process: it starts, says where it is, outlives nothing that it should not, and forgets nothing."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from sandbox_kit import Client, base64_text, picture, recording

from manifest_runner.errors import NeedsPerson, ServiceUnreachable, UsageError
from manifest_runner.sandbox import SandboxSettings, new_key_pair, process, start_sandbox
from manifest_runner.sandbox.process import SETTINGS_VARIABLE
from manifest_runner.sandbox.serve import serve

SERVE = """
import sys
from manifest_runner.sandbox.serve import serve
from manifest_runner.sandbox.settings import SandboxSettings
serve(SandboxSettings.from_json(sys.argv[1]), ready=lambda url: print(url, flush=True))
"""
HOLD = """
import os, sys, time
from pathlib import Path
from manifest_runner.sandbox import start_sandbox
with start_sandbox(Path(sys.argv[1])) as sandbox:
    print(sandbox.pid, flush=True)
    time.sleep(60)
"""


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def gone_within(pid: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not alive(pid):
            return True
        time.sleep(0.02)
    return False


def test_a_restart_forgets_nothing_and_goes_on_with_what_was_under_way(tmp_path: Path) -> None:
    with start_sandbox(tmp_path, slots=9) as sandbox:
        client = Client(sandbox.base_url, sandbox.environment)
        with client.http:
            client.created(external_task_id="ended", watermark_info={"enabled": True})
            ended = client.ended("ended")
            long = base64_text(recording(10, rate=8000))
            client.created(
                external_task_id="under way", sound_file=long, image=base64_text(picture(500, 400))
            )
            client.created(external_task_id="fails", prompt="[sandbox:fail]", sound_file=long)
            assert client.look("under way")["task_status"] in ("submitted", "processing")
    assert not list((tmp_path / "results").glob("*.part"))
    left_by_a_crash = tmp_path / "results" / f"{'0' * 64}.mp4.part"
    left_by_a_crash.write_bytes(b"half")
    with start_sandbox(tmp_path, slots=9) as sandbox:
        client = Client(sandbox.base_url, sandbox.environment)
        with client.http:
            assert not left_by_a_crash.exists()
            again = client.look("ended")
            assert client.create(external_task_id="ended").json()["code"] == 1201
            old, new = ended["task_result"]["videos"][0], again["task_result"]["videos"][0]
            assert new["id"] == old["id"]
            assert new["url"].startswith(sandbox.base_url)
            assert httpx.get(new["url"]).status_code == 200
            assert client.ended("fails")["task_status"] == "failed"
            assert client.ended("under way")["final_unit_deduction"] == "4"


def test_equal_tasks_are_rendered_once(tmp_path: Path) -> None:
    with start_sandbox(tmp_path, slots=9) as sandbox:
        client = Client(sandbox.base_url, sandbox.environment)
        with client.http:
            ids = [client.created() for _ in range(4)]
            urls = {client.ended(task_id)["task_result"]["videos"][0]["url"] for task_id in ids}
    assert len(urls) == 4
    assert len(list((tmp_path / "results").iterdir())) == 1
    assert len(list((tmp_path / "media").iterdir())) == 2


def test_results_are_gone_after_their_retention(tmp_path: Path) -> None:
    with start_sandbox(tmp_path, retention_days=1.5 / 86_400) as sandbox:
        client = Client(sandbox.base_url, sandbox.environment)
        with client.http:
            task = client.ended(client.created())
            url = task["task_result"]["videos"][0]["url"]
            assert httpx.get(url).status_code == 200
            time.sleep(2.2)
            assert (httpx.get(url).status_code, httpx.get(url).json()["code"]) == (404, 1203)
            assert client.look(task["task_id"])["task_result"] == {"videos": []}
            assert not list((tmp_path / "results").iterdir())
            renewed = client.ended(client.created())
            assert httpx.get(renewed["task_result"]["videos"][0]["url"]).status_code == 200


def test_a_rendering_that_breaks_ends_its_task_as_failed(tmp_path: Path) -> None:
    with start_sandbox(tmp_path, slots=1) as sandbox:
        client = Client(sandbox.base_url, sandbox.environment)
        with client.http:
            (tmp_path / "results").rmdir()
            (tmp_path / "results").write_text("in the way")
            task = client.ended(client.created())
            assert (task["task_status"], task["task_status_msg"]) == (
                "failed",
                "Rendering failed: NotADirectoryError",
            )
            client.created()


def test_no_secret_is_seen_from_outside(tmp_path: Path) -> None:
    with start_sandbox(tmp_path, webhook_secret="whsec_c2VjcmV0") as sandbox:
        arguments = Path(f"/proc/{sandbox.pid}/cmdline").read_text()
        for secret in (*sandbox.environment.values(), "whsec_c2VjcmV0"):
            assert secret not in arguments
            assert secret not in repr(sandbox)
        assert os.getpgid(sandbox.pid) != os.getpgid(0)
        assert os.getsid(sandbox.pid) != os.getsid(0)
    assert gone_within(sandbox.pid, 1)


def test_the_sandbox_follows_a_parent_that_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert alive(pid)
        parent.kill()
    with start_sandbox(tmp_path) as sandbox:  # at once: it waits for the old one's lock
        assert httpx.get(sandbox.base_url).status_code == 401
    assert gone_within(pid, 1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_without_noise(tmp_path: Path, number: signal.Signals) -> None:
    settings = SandboxSettings(state=tmp_path, **new_key_pair())
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, settings.to_json()],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        base_url = child.stdout.readline().strip()
        assert httpx.get(base_url).status_code == 401
        child.send_signal(number)
        _, errors = child.communicate(timeout=10)
    assert (child.returncode, errors) == (0, "")


def test_requests_are_logged_only_when_asked_for_and_without_secrets(tmp_path: Path) -> None:
    settings = SandboxSettings(state=tmp_path, verbose=True, **new_key_pair())
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, settings.to_json()],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        base_url = child.stdout.readline().strip()
        httpx.get(f"{base_url}/account/costs?secret=1")
        httpx.get(f"{base_url}/results/token.mp4")
        child.terminate()
        _, errors = child.communicate(timeout=10)
    assert "GET /account/costs 401" in errors
    assert "GET /results/ 404" in errors
    assert "secret" not in errors
    assert "token" not in errors


def test_a_folder_that_is_served_already_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("manifest_runner.sandbox.serve.LOCK_WAIT", 0.3)
    with start_sandbox(tmp_path), pytest.raises(NeedsPerson, match="Another sandbox is serving"):
        serve(SandboxSettings(state=tmp_path, **new_key_pair()), ready=lambda _: None)


def test_told_to_stop_while_waiting_for_the_lock_it_just_ends(tmp_path: Path) -> None:
    heard: list[str] = []
    with start_sandbox(tmp_path):
        serve(
            SandboxSettings(state=tmp_path, **new_key_pair()),
            ready=heard.append,
            stop_when=lambda: time.sleep(0.2),
        )
    assert heard == []


def test_a_port_or_a_folder_that_can_t_be_had_is_said_plainly(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"can't listen on 127.0.0.1 port {port}"):
            serve(SandboxSettings(state=tmp_path, port=port, **new_key_pair()), ready=lambda _: None)
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(NeedsPerson, match="can't use the folder"):
        serve(SandboxSettings(state=file, **new_key_pair()), ready=lambda _: None)
    with pytest.raises(NeedsPerson, match="can't use the folder"), start_sandbox(file / "below"):
        pass


def test_a_child_that_does_not_start_tells_why(tmp_path: Path) -> None:
    (tmp_path / "sandbox.sqlite3").write_bytes(b"no database" * 100)
    with (
        pytest.raises(ServiceUnreachable, match=r"did not start: .*sandbox\.sqlite3"),
        start_sandbox(tmp_path),
    ):
        pass
    with (
        pytest.raises(ServiceUnreachable, match="said nothing"),
        start_sandbox(tmp_path / "new", deadline=0.0),
    ):
        pass


def test_a_child_that_will_not_end_is_made_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "END_DEADLINE", 0.2)
    with start_sandbox(tmp_path) as sandbox:
        os.kill(sandbox.pid, signal.SIGSTOP)
    assert not alive(sandbox.pid)


def test_started_by_hand_the_module_points_at_the_command() -> None:
    environment = {name: value for name, value in os.environ.items() if name != SETTINGS_VARIABLE}
    done = subprocess.run(
        [sys.executable, "-m", "manifest_runner.sandbox"],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert (done.returncode, "manifest-runner sandbox" in done.stderr) == (2, True)


@pytest.mark.skipif(not has_ipv6(), reason="2026-11-24: this machine has no IPv6 loopback")
def test_it_serves_on_ipv6_too(tmp_path: Path) -> None:
    found: list[int] = []

    def ready(base_url: str) -> None:
        assert base_url.startswith("http://[::1]:")
        found.append(1)

    serve(
        SandboxSettings(state=tmp_path, host="::1", **new_key_pair()),
        ready=ready,
        stop_when=lambda: time.sleep(0.3),
    )
    assert found == [1]
