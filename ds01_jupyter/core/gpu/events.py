"""The driver's XID errors, heard as they happen.

An XID is told once, to those who listen at that moment. So a thread waits for them in the driver
(which costs nothing while nothing happens) for as long as the server looks after GPUs.
"""

from __future__ import annotations

import ctypes
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pynvml

from ds01_jupyter.core.errors import CoreError
from ds01_jupyter.core.gpu.nvml_calls import GONE, MISSING, Error, Handle
from ds01_jupyter.core.gpu.nvml_session import SESSION

WAIT_MS = 1000
"""How long one wait in the driver lasts, and so how long stopping may take."""
PAUSE = 30.0
"""Seconds after which a driver that had an error is listened to again."""
REGISTER_EVERY = 10
"""Waits after which GPUs that could not be registered are tried again."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Xid:
    """An XID error. `gi` and `ci` name the MIG instance where the driver tells it."""

    gpu_uuid: str
    gpu_index: int
    gpu_name: str
    code: int
    driver: str
    gi: int | None = None
    ci: int | None = None


@dataclass(frozen=True)
class _Listened:
    uuid: str
    index: int
    name: str


class XidWatch:
    """Calls `heard` in a thread of its own for every XID.

    Without a driver it ends by itself; `start` then tries again. `pause` in seconds.
    """

    def __init__(
        self,
        library: str,
        heard: Callable[[Xid], object],
        *,
        wait_ms: int = WAIT_MS,
        pause: float = PAUSE,
    ) -> None:
        self._library = library
        self._heard = heard
        self._wait_ms = wait_ms
        self._pause = pause
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._listening = threading.Event()

    @property
    def running(self) -> bool:
        """Whether the thread is there."""
        thread = self._thread
        return thread is not None and thread.is_alive()

    def start(self) -> None:
        """Listen from now on, unless that is so or `stop` was called."""
        with self._lock:
            if self.running or self._stop.is_set():
                return
            self._thread = threading.Thread(target=self._run, name="ds01-xid", daemon=True)
            self._thread.start()

    def listening(self, timeout: float) -> bool:
        """Wait until events are heard; False after `timeout` seconds."""
        return self._listening.wait(timeout)

    def stop(self, timeout: float = 5.0) -> bool:
        """End the thread for good; False when the driver hangs and it was left behind."""
        self._stop.set()
        with self._lock:
            thread = self._thread
        if thread is None:
            return True
        thread.join(timeout)
        return not thread.is_alive()

    # ---- the thread --------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                generation = SESSION.ensure(self._library)
            except CoreError as error:
                log.debug("no XID errors are listened to: %s", error.message)
                return
            try:
                self._listen()
            except Error as error:
                if error.value in MISSING:
                    log.info("this driver tells no XID errors (%s)", error)
                    return
                if error.value == pynvml.NVML_ERROR_UNINITIALIZED:
                    SESSION.lost(generation)
                    continue
                log.warning("listening to XID errors: %s", error)
            finally:
                self._listening.clear()
            self._stop.wait(self._pause)

    def _listen(self) -> None:
        """Until `stop`, or an error of the driver."""
        events = pynvml.nvmlEventSetCreate()
        try:
            driver = pynvml.nvmlSystemGetDriverVersion()
            known: dict[int, _Listened] = {}
            complete = self._register(events, known)
            self._listening.set()
            waits = 0
            while not self._stop.is_set():
                event = self._wait(events)
                if event is not None:
                    self._tell(event, known, driver)
                waits += 1
                if waits % REGISTER_EVERY == 0 and not complete:
                    complete = self._register(events, known)
        finally:
            _free(events)

    def _wait(self, events: Any) -> Any | None:
        try:
            return pynvml.nvmlEventSetWait(events, self._wait_ms)
        except Error as error:
            if error.value == pynvml.NVML_ERROR_TIMEOUT:
                return None
            if error.value in GONE:
                # Some GPU was lost: the health of each is looked at elsewhere. Do not spin.
                self._stop.wait(self._wait_ms / 1000)
                return None
            raise

    def _register(self, events: Any, known: dict[int, _Listened]) -> bool:
        """Listen to every GPU that can be; False when one could not."""
        complete = True
        for index in range(pynvml.nvmlDeviceGetCount()):
            try:
                handle = pynvml.nvmlDeviceGetHandleByIndex(index)
                if _address(handle) in known:
                    continue
                listened = _Listened(
                    pynvml.nvmlDeviceGetUUID(handle), index, pynvml.nvmlDeviceGetName(handle)
                )
                if pynvml.nvmlDeviceGetSupportedEventTypes(handle) & _XID:
                    pynvml.nvmlDeviceRegisterEvents(handle, _XID, events)
                    known[_address(handle)] = listened
            except Error as error:
                if error.value == pynvml.NVML_ERROR_UNINITIALIZED:
                    raise
                if error.value not in MISSING:
                    complete = False
        return complete

    def _tell(self, event: Any, known: dict[int, _Listened], driver: str) -> None:
        if event.eventType != _XID:
            return
        # A GPU that has just fallen off the bus does not tell its UUID any more.
        gpu = known.get(_address(event.device))
        if gpu is None:
            log.warning("XID %d of a GPU that nobody knows", event.eventData)
            return
        heard = Xid(
            gpu_uuid=gpu.uuid,
            gpu_index=gpu.index,
            gpu_name=gpu.name,
            code=int(event.eventData),
            driver=driver,
            gi=_instance(event.gpuInstanceId),
            ci=_instance(event.computeInstanceId),
        )
        try:
            self._heard(heard)
        except CoreError as error:
            log.error("XID %d of GPU %d is not noted yet: %s", heard.code, gpu.index, error.message)
        except Exception:
            log.exception("telling of XID %d of GPU %d", heard.code, gpu.index)


_XID = pynvml.nvmlEventTypeXidCriticalError
_NO_INSTANCE = 0xFFFFFFFF


def _address(handle: Handle) -> int:
    return ctypes.cast(handle, ctypes.c_void_p).value or 0


def _instance(number: int) -> int | None:
    return None if number == _NO_INSTANCE else int(number)


def _free(events: Any) -> None:
    try:
        pynvml.nvmlEventSetFree(events)
    except Error as error:
        log.debug("an event set was not freed: %s", error)
