"""``imperal-host prove``, run as an operator runs it. What it tries is tested in tests/escape."""

import json

from tests.host.cli.command import Command


def test_what_is_stopped_is_shown_and_reported(command: Command) -> None:
    report = command.place / "report.json"
    done = command("prove", "--kind", "identity", "--kind", "broker", "--report", report)
    assert (done.status, done.err) == (0, ""), done
    assert "ask for 'vault.open'" in done.out
    assert "0 worked, 0 inconclusive" in done.out

    said = json.loads(report.read_text())
    assert (said["tier"], said["passes"], said["counts"]["WORKED"]) == ("strict", True, 0)
    [attempt] = [attempt for attempt in said["attempts"] if attempt["name"] == "ask for 'vault.open'"]
    assert (attempt["kind"], attempt["outcome"], attempt["layer"]) == ("broker", "stopped", "broker")
    assert "sk-prove-" not in report.read_text(), "a report can be shown around"
    assert not command.data_dir.exists(), "the operator's own data is not touched"


def test_what_ends_otherwise_than_promised_is_said_and_has_status_1(command: Command) -> None:
    # a host that allows so little processor time stops what its deadline should have stopped
    done = command.having(IMPERAL_ISOLATE_CPU_SECONDS_MAX=1)("prove", "--kind", "limits", "--json")
    assert done.status == 1, done
    said = json.loads(done.out)
    failed = {attempt["name"] for attempt in said["attempts"] if attempt["outcome"] in ("WORKED", "inconclusive")}
    assert said["passes"] is False
    assert failed == {"use the processor for ever", "use the processor for ever in all its threads"}


def test_a_suite_that_cannot_run_has_status_2(command: Command) -> None:
    for arguments, variables, why in (
        (("--tier", "nonsense"), {}, "IMPERAL_SANDBOX"),
        (("--kind", "nonsense"), {}, "no attempts of the kind"),
        ((), {"IMPERAL_ISOLATES_MAX": "none"}, "IMPERAL_ISOLATES_MAX"),
    ):
        done = command.having(**variables)("prove", *arguments)
        assert (done.status, done.out) == (2, ""), done
        assert why in done.err
