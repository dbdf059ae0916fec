import multiprocessing
import shutil

import pytest
from filelock import Timeout

from imitate.errors import UserError
from imitate.keeping.lock import LOCK, held, hold, let_go, waited_for

SPAWNED = multiprocessing.get_context("spawn")


def hold_until_told(folder, pipe):
    try:
        hold(folder)
    except UserError as error:
        pipe.send(str(error))
        return
    pipe.send("held")
    pipe.recv()


class Other:
    """Another process that wants a folder."""

    def __init__(self, folder):
        self._pipe, far = SPAWNED.Pipe()
        self._process = SPAWNED.Process(target=hold_until_told, args=(folder, far))
        self._process.start()
        self.says = self._pipe.recv()

    def kill(self):
        self._process.kill()
        self._process.join()


def test_one_process_works_on_a_folder(tmp_path):
    other = Other(tmp_path / "stage")
    assert other.says == "held"
    with pytest.raises(UserError, match="stage: another process is working on it: wait until it has ended, or choose"):
        hold(tmp_path / "stage")
    hold(tmp_path / "another")
    other.kill()
    hold(tmp_path / "stage")  # whatever a killed process leaves
    hold(tmp_path / "stage")
    assert "another process" in Other(tmp_path / "stage").says
    let_go(tmp_path / "stage")
    assert not list((tmp_path / "stage").iterdir())
    last = Other(tmp_path / "stage")
    assert last.says == "held"
    last.kill()


def test_a_folder_is_held_for_a_while(tmp_path):
    with held(tmp_path / "stage"):
        assert "another process" in Other(tmp_path / "stage").says
    other = Other(tmp_path / "stage")
    assert other.says == "held"
    with pytest.raises(UserError, match="another process is working on it"), held(tmp_path / "stage"):
        pass
    other.kill()


def test_a_folder_that_was_deleted_is_held_anew(tmp_path):
    hold(tmp_path / "stage")
    shutil.rmtree(tmp_path / "stage")
    hold(tmp_path / "stage")
    assert "another process" in Other(tmp_path / "stage").says
    let_go(tmp_path / "stage")
    let_go(tmp_path / "stage")


def test_a_lock_is_waited_for(tmp_path):
    other = Other(tmp_path)
    lock = waited_for(tmp_path)
    with pytest.raises(TimeoutError):
        lock.acquire(timeout=0.1)
    other.kill()
    with lock:
        assert (tmp_path / LOCK).exists()


def test_a_folder_that_cannot_be_written_is_not_said_to_be_worked_on(tmp_path, monkeypatch):
    def never(*args, **more):
        raise Timeout("lock")

    monkeypatch.setattr("imitate.keeping.lock.FileLock.acquire", never)
    monkeypatch.setattr("imitate.keeping.lock.LOCK", "missing/.lock")  # as in a folder of the system's
    with pytest.raises(FileNotFoundError):
        hold(tmp_path)
