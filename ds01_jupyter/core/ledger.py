"""The ledger: what was given to whom, what was built, what was done. One SQLite file.

It is safe with many threads, processes and users on one file, and refuses (rather than guesses)
when the file is damaged, lost, or cannot be written. Every method may raise `LedgerUnavailable`;
those that write, `DiskFull` too.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ds01_jupyter.core import ledger_tables as tables
from ds01_jupyter.core.errors import NotFound
from ds01_jupyter.core.ledger_database import BUSY_SECONDS, Database
from ds01_jupyter.core.ledger_recovery import Recovery, Survey
from ds01_jupyter.core.ledger_rows import (
    ContainerRow,
    HistoryRow,
    ImageRow,
    LeaseRow,
    damaged,
    history_row,
    image_row,
    process_of,
)
from ds01_jupyter.core.models import ErrorDocument, Operation
from ds01_jupyter.core.processes import ProcessIdentity, process_identity

__all__ = ["ContainerRow", "HistoryRow", "ImageRow", "LeaseRow", "Ledger"]

UNFINISHED = ("queued", "running")
KEPT_OPERATIONS = 200
"""Operations that are remembered for each person."""


class Ledger:
    """The ledger at `path`. The file (and its folder, for the owner alone) is made when it is
    first needed."""

    def __init__(
        self,
        path: Path,
        *,
        busy_seconds: float = BUSY_SECONDS,
        survey: Survey | None = None,
    ) -> None:
        """`survey` asks who has what when the file is damaged or not there, to make it anew;
        without one a damaged file is refused, and a missing one begins empty."""
        self.path = Path(path)
        recovery = None if survey is None else Recovery(self.path, survey)
        self._database = Database(self.path, busy_seconds=busy_seconds, recovery=recovery)
        self._survey = survey
        self._compared = survey is None

    @property
    def mark(self) -> str:
        """What containers carry to say which ledger they are in: it follows from the path, so
        that it is still known when the file is lost."""
        return hashlib.sha256(bytes(self.path.absolute())).hexdigest()[:16]

    def close(self) -> None:
        """Let go of the file; a later call opens it again."""
        self._database.close()

    def writing(self) -> AbstractContextManager[sqlite3.Connection]:
        """One transaction for looking, deciding and writing (with `ledger_tables`)."""
        return self._database.write()

    def reading(self) -> AbstractContextManager[sqlite3.Connection]:
        """One consistent view."""
        return self._database.read()

    def is_alive(self, process: ProcessIdentity) -> bool:
        """Whether a process that wrote to this ledger lives, in whatever container it runs."""
        return self._database.is_alive(process)

    def compare(self) -> None:
        """Take in what there was before a ledger that began while Docker did not answer.

        Costs nothing afterwards. Raises what the survey raises.
        """
        if self._compared or self._survey is None:
            return
        with self.reading() as connection:
            due = connection.execute("SELECT 1 FROM uncompared").fetchone()
        if due is not None:
            write = self._survey()
            with self.writing() as connection:
                if connection.execute("DELETE FROM uncompared").rowcount:
                    write(connection, {"reason": "lost", "kept": None, "salvaged": {}})
        self._compared = True

    # ---- containers and leases -------------------------------------------------------------

    def containers(self) -> list[ContainerRow]:
        """Everybody's containers, pending ones too, oldest first."""
        return self.containers_of(None)

    def containers_of(self, uid: int | None) -> list[ContainerRow]:
        """The containers of one person; None: everybody's."""
        with self.reading() as connection:
            return tables.containers(connection, uid)

    def container_by_name(self, full_name: str) -> ContainerRow | None:
        """The container named `NAME._.UID`."""
        with self.reading() as connection:
            return tables.container_by_name(connection, full_name)

    def leases_of(self, claim_id: str) -> list[LeaseRow]:
        """All leases that a claim ever had, released ones too (so an empty list means CPU-only)."""
        with self.reading() as connection:
            return tables.leases_of(connection, claim_id)

    def live_leases(self, host: str | None = None) -> list[LeaseRow]:
        """All leases that are not released, of one host or of all."""
        with self.reading() as connection:
            return tables.live_leases(connection, host=host)

    # ---- images ----------------------------------------------------------------------------

    def save_image(self, row: ImageRow) -> None:
        """Write an image; one of the same person and name is replaced."""
        with self.writing() as connection:
            connection.execute(
                "INSERT INTO images (uid, name, owner, reference, image_id, request,"
                " dockerfile, dockerfile_sha256, base_image, created)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (uid, name) DO UPDATE SET owner = excluded.owner,"
                " reference = excluded.reference, image_id = excluded.image_id,"
                " request = excluded.request, dockerfile = excluded.dockerfile,"
                " dockerfile_sha256 = excluded.dockerfile_sha256,"
                " base_image = excluded.base_image, created = excluded.created",
                (
                    row.uid,
                    row.name,
                    row.owner,
                    row.reference,
                    row.image_id,
                    row.request_json,
                    row.dockerfile,
                    row.dockerfile_sha256,
                    row.base_image,
                    row.created.astimezone(UTC).isoformat(),
                ),
            )

    def get_image(self, uid: int, name: str) -> ImageRow | None:
        """One image of a person."""
        with self.reading() as connection:
            row = connection.execute(
                "SELECT * FROM images WHERE uid = ? AND name = ?", (uid, name)
            ).fetchone()
        return None if row is None else image_row(row)

    def list_images(self, uid: int | None = None) -> list[ImageRow]:
        """The images of a person by name; None: everybody's."""
        with self.reading() as connection:
            rows = connection.execute(
                "SELECT * FROM images WHERE ? IS NULL OR uid = ? ORDER BY name, uid", (uid, uid)
            ).fetchall()
        return [image_row(row) for row in rows]

    def delete_image(self, uid: int, name: str) -> None:
        """Forget an image; `NotFound` when there is none of that name."""
        with self.writing() as connection:
            cursor = connection.execute(
                "DELETE FROM images WHERE uid = ? AND name = ?", (uid, name)
            )
            if not cursor.rowcount:
                raise NotFound(
                    f"There is no image {name}.", hint="ds01 image list shows yours.", name=name
                )

    # ---- operations (OperationStore) -------------------------------------------------------

    def save_operation(self, operation: Operation, uid: int) -> None:
        """Write the present state of an operation that runs in this process."""
        me = process_identity()
        with self.writing() as connection:
            connection.execute(
                "INSERT INTO operations (id, uid, state, created, document, pid, start_ticks,"
                " boot_id, pid_namespace) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (id) DO UPDATE SET state = excluded.state,"
                " document = excluded.document",
                (
                    operation.id,
                    uid,
                    operation.state,
                    operation.created.astimezone(UTC).isoformat(),
                    operation.model_dump_json(),
                    me.pid,
                    me.start_ticks,
                    me.boot_id,
                    me.namespace,
                ),
            )
            connection.execute(
                "DELETE FROM operations WHERE uid = ? AND state NOT IN (?, ?) AND id NOT IN"
                " (SELECT id FROM operations WHERE uid = ? ORDER BY created DESC LIMIT ?)",
                (uid, *UNFINISHED, uid, KEPT_OPERATIONS),
            )

    def load_operations(self, uid: int) -> list[Operation]:
        """A person's operations, newest first.

        One that was left unfinished by a process that is dead now is `interrupted`, and is
        written down so.
        """
        with self.reading() as connection:
            rows = connection.execute(
                "SELECT * FROM operations WHERE uid = ? ORDER BY created DESC, id", (uid,)
            ).fetchall()
        return [self._settled(row) for row in rows]

    def _settled(self, row: sqlite3.Row) -> Operation:
        try:
            operation = Operation.model_validate_json(row["document"])
        except ValidationError as error:
            raise damaged(f"operation {row['id']}", error) from error
        if operation.state not in UNFINISHED or self.is_alive(process_of(row)):
            return operation
        ended = operation.model_copy(
            update={
                "state": "interrupted",
                "finished": datetime.now(UTC),
                "error": ErrorDocument(
                    code="interrupted",
                    message="The server stopped before this was finished.",
                    hint="Start it again; what was half-made has been or will be cleaned up.",
                ),
            }
        )
        with self.writing() as connection:
            connection.execute(
                "UPDATE operations SET state = ?, document = ? WHERE id = ? AND document = ?",
                (ended.state, ended.model_dump_json(), row["id"], row["document"]),
            )
        return ended

    # ---- history ---------------------------------------------------------------------------

    def record(
        self,
        actor: str,
        owner: str,
        action: str,
        subject: str,
        outcome: str,
        details: Mapping[str, Any],
    ) -> None:
        """Add a line to the history, which nobody can change afterwards.

        `actor` did `action` (such as `container.stop`) to `subject`, which is `owner`'s.
        """
        with self.writing() as connection:
            tables.insert_history(connection, actor, owner, action, subject, outcome, details)

    def history(self, limit: int = 100, owner: str | None = None) -> list[HistoryRow]:
        """The last `limit` lines, newest first; only what concerns `owner` when given."""
        with self.reading() as connection:
            rows = connection.execute(
                "SELECT * FROM history WHERE ? IS NULL OR owner = ? ORDER BY id DESC LIMIT ?",
                (owner, owner, limit),
            ).fetchall()
        return [history_row(row) for row in rows]
