"""What the board has been taught, on disk: a label that was acknowledged survives a power cut.

One SQLite file. An example is a label, who taught it, where and when it came from and, only if the owner asked, its
picture. What the network makes of it, its codes, is kept by the key that it depends on: the backbone and the camera's
look. So a new look or a new release hides old codes without touching them, and going back brings them back.

A lesson is what was learnt at once: the examples taught together, a look, or an import. Its number is a snapshot.
"""

import sqlite3
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np

from edge.alerts.rows import AlertRows
from edge.contract.errors import BoardError, FormatError
from edge.database import deletion, erase, open_database, problems, transaction
from edge.rows import DeepenedRow, ExampleRow, Key, LookRow, NewExample, NoticedRow, WholeExample

MOST_NOTICED = 500  # of each kind


@contextmanager
def open_store(path: str, timeout_s: float = 5.0) -> Iterator["Store"]:
    """The store in the file at `path`, made if there is none; for a `with` statement. Raises as open_database()."""
    with open_database(path, timeout_s) as connection:
        yield Store(connection)


class Store:
    """An open store. Every method that writes returns only when its change is on disk."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def add(self, label: str, taken: str, key: Key, examples: Sequence[NewExample], person: str = "") -> List[int]:
        """Keeps one lesson: all of `examples`, or none if this fails. Returns their ids."""
        whole = [
            WholeExample(label, person, taken, e.source, e.picture, ((key, e.codes.tobytes()),) + e.latents)
            for e in examples
        ]
        return self.add_whole(whole, ())

    def add_whole(self, examples: Sequence[WholeExample], looks: Sequence[LookRow]) -> List[int]:
        """Keeps one lesson of examples and looks, whose ids and lesson are made anew. Returns the examples' ids."""
        ids = []
        with transaction(self._connection) as run:
            lesson = self.last_lesson() + 1
            for label, person, taken, source, picture, codes in examples:
                cursor = run(
                    "INSERT INTO examples (lesson, label, person, taken, source, picture) VALUES (?, ?, ?, ?, ?, ?)",
                    (lesson, label, person, taken, source, picture),
                )
                ids.append(cursor.lastrowid)
                for key, values in codes:
                    run("INSERT INTO codes VALUES (?, ?, ?, ?)", (cursor.lastrowid, *key, values))
            for look in looks:
                run(
                    "INSERT INTO looks (lesson, backbone, name, curve, why, taken) VALUES (?, ?, ?, ?, ?, ?)",
                    (lesson, *look[2:]),
                )
        return ids

    def add_look(self, backbone: str, name: str, table: bytes, why: str, taken: str) -> None:
        """Keeps a look as a lesson of its own. It is in force for `backbone` from now on."""
        self.add_whole((), [LookRow(0, 0, backbone, name, table, why, taken)])

    def add_codes(self, key: Key, codes: Sequence[Tuple[int, np.ndarray]], of: Optional[DeepenedRow] = None) -> None:
        """Keeps the codes, (D,) int8, of the examples with these ids under `key`, too.

        of: the pass whose network made them. Another process may have removed it since, or coded or removed an example.
        """
        with transaction(self._connection) as run:
            if of is None or of.id in [row.id for row in self.deepened()]:
                for example, values in codes:
                    row = (*key, values.tobytes(), example)
                    run("INSERT OR IGNORE INTO codes SELECT id, ?, ?, ? FROM examples WHERE id = ?", row)

    def add_deepened(self, row: DeepenedRow, weights: bytes, base: bytes, examples: Sequence[int]) -> None:
        """Keeps a deeper pass as a lesson of its own; `row.id` and `row.lesson` are made anew.

        examples: what it was made from. Raises BoardError if one of them is gone by now.
        """
        with transaction(self._connection) as run:
            if not set(examples) <= {found[0] for found in run("SELECT id FROM examples")}:
                raise BoardError("an example was forgotten during the pass", "all that it saw", "deepen again")
            run(
                "INSERT INTO deepened (lesson, network, look, tuned, why, taken, weights, base)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (self.last_lesson() + 1, *row[2:], weights, base),
            )

    def taught(self, key: Key, features: int) -> Dict[str, np.ndarray]:
        """The codes of all examples that have some for `key`: (n, features) int8 by label.

        Raises FormatError for an example with another number of codes.
        """
        rows = self._connection.execute(
            "SELECT id, label, codes FROM examples JOIN codes ON example = id WHERE backbone = ? AND look = ?", key
        )
        by_label: Dict[str, List[np.ndarray]] = {}
        for example, label, codes in rows:
            if len(codes) != features:
                raise FormatError(
                    "example {} has {} codes".format(example, len(codes)),
                    "{}, one a feature of the network".format(features),
                    "forget it with `edgewise forget --id {}`".format(example),
                )
            by_label.setdefault(label, []).append(np.frombuffer(codes, np.int8))
        return {label: np.array(codes) for label, codes in by_label.items()}

    def examples(self, key: Key) -> List[ExampleRow]:
        """Every example, oldest first, and whether it counts under `key`."""
        rows = self._connection.execute(
            "SELECT id, lesson, label, person, taken, source, picture IS NOT NULL, codes IS NOT NULL FROM examples"
            " LEFT JOIN codes ON example = id AND backbone = ? AND look = ? ORDER BY id",
            key,
        )
        return [ExampleRow(*row[:6], has_picture=bool(row[6]), used=bool(row[7])) for row in rows]

    def count_by_label(self) -> Dict[str, int]:
        """How many examples of each label there are, those that are set aside as well."""
        return dict(self._connection.execute("SELECT label, count(*) FROM examples GROUP BY label"))

    def whole(self, example: int) -> WholeExample:
        """All that is kept of the example with this id, which must be there, but for what retrained networks see."""
        row = self._connection.execute(
            "SELECT label, person, taken, source, picture FROM examples WHERE id = ?", (example,)
        ).fetchone()
        codes = self._connection.execute(
            "SELECT backbone, look, codes FROM codes WHERE example = ?"
            " AND backbone NOT IN (SELECT tuned FROM deepened) ORDER BY backbone, look",
            (example,),
        )
        return WholeExample(*row, codes=tuple((Key(*each[:2]), each[2]) for each in codes))

    def pictures_without_codes(self, key: Key) -> List[Tuple[int, bytes]]:
        """(id, PNG) of the examples that kept their picture and have no codes for `key`."""
        return self._connection.execute(
            "SELECT id, picture FROM examples LEFT JOIN codes ON example = id AND backbone = ? AND look = ?"
            " WHERE picture IS NOT NULL AND codes IS NULL ORDER BY id",
            key,
        ).fetchall()

    def codes_without(self, key: Key, other: Key) -> List[Tuple[int, bytes]]:
        """(id, codes) under `key` of the examples that have none under `other`."""
        return self._connection.execute(
            "SELECT example, codes FROM codes WHERE backbone = ? AND look = ?"
            " AND example NOT IN (SELECT example FROM codes WHERE backbone = ? AND look = ?) ORDER BY example",
            (*key, *other),
        ).fetchall()

    def deepened(self) -> List[DeepenedRow]:
        """All deeper passes that were kept, of every network and look, oldest first."""
        rows = self._connection.execute(
            "SELECT id, lesson, network, look, tuned, why, taken FROM deepened ORDER BY id"
        ).fetchall()
        return [DeepenedRow(*row) for row in rows]

    def deepened_in_force(self, network: str, look: str) -> Optional[DeepenedRow]:
        """The newest pass of `network` under `look`."""
        its = [row for row in self.deepened() if (row.network, row.look) == (network, look)]
        return its[-1] if its else None

    def deepened_parts(self, row: int) -> Tuple[bytes, bytes]:
        """The weights and the base of the pass with this id, which must be there."""
        return self._connection.execute("SELECT weights, base FROM deepened WHERE id = ?", (row,)).fetchone()

    def looks(self) -> List[LookRow]:
        """All looks, of every backbone, oldest first."""
        rows = self._connection.execute(
            "SELECT id, lesson, backbone, name, curve, why, taken FROM looks ORDER BY id"
        ).fetchall()
        return [LookRow(*row) for row in rows]

    def look(self, backbone: str) -> Optional[LookRow]:
        """The newest look for `backbone`, which is the one in force; None means the camera's bytes as they are."""
        its = [row for row in self.looks() if row.backbone == backbone]
        return its[-1] if its else None

    def alerts(self) -> AlertRows:
        """What was alerted of."""
        return AlertRows(self._connection)

    def version(self) -> int:
        """Another number after another process has changed the store."""
        return self._connection.execute("PRAGMA data_version").fetchone()[0]

    def last_lesson(self) -> int:
        """The number of the newest lesson of which something is left, or 0."""
        query = (
            "SELECT coalesce(max(lesson), 0) FROM"
            " (SELECT lesson FROM examples UNION SELECT lesson FROM looks UNION SELECT lesson FROM deepened)"
        )
        return self._connection.execute(query).fetchone()[0]

    @contextmanager
    def _removal(self) -> Iterator[Any]:
        """A deletion with which goes what a retrained network made of the other examples, if the network goes."""
        with deletion(self._connection) as run:
            before = {row.tuned for row in self.deepened()}
            yield run
            for tuned in before - {row.tuned for row in self.deepened()}:
                run("DELETE FROM codes WHERE backbone = ?", (tuned,))

    def remove(
        self, examples: Sequence[int], looks: Sequence[int] = (), guessed: str = "", passes: Sequence[int] = ()
    ) -> None:
        """Removes the examples, looks and deeper passes with these ids for good and erases their bytes, in the log too.

        A pass that may have seen one of the examples goes with them, and so does what its network made of the others.
        guessed: what was noticed and looks like this label goes with them, and what was alerted of as it.
        Raises BoardError if another process is reading: they are removed, and erased as soon as nobody reads.
        """
        with self._removal() as run:
            for example in examples:
                run("DELETE FROM deepened WHERE lesson > (SELECT lesson FROM examples WHERE id = ?)", (example,))
                run("DELETE FROM examples WHERE id = ?", (example,))
            for look in looks:
                run("DELETE FROM looks WHERE id = ?", (look,))
            for each in passes:
                run("DELETE FROM deepened WHERE id = ?", (each,))
            run("DELETE FROM noticed WHERE ? IN (label, rival)", (guessed,))
            run("DELETE FROM alerts WHERE label = ?", (guessed,))

    def remove_everything(self) -> None:
        """Removes all examples, looks, deeper passes, alerts and all that was noticed, as `remove` does."""
        with self._removal() as run:
            run("DELETE FROM examples")
            run("DELETE FROM looks")
            run("DELETE FROM deepened")
            run("DELETE FROM noticed")
            run("DELETE FROM alerts")

    def add_noticed(self, row: NoticedRow, key: Key, example: NewExample) -> None:
        """Keeps what was noticed; `row.id` is made anew. Of each kind the newest MOST_NOTICED stay."""
        with transaction(self._connection) as run:
            run(
                "INSERT INTO noticed (question, label, rival, score, margin, taken, source, backbone, look, codes,"
                " picture) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*row[1:7], example.source, *key, example.codes.tobytes(), example.picture),
            )
            run(
                "DELETE FROM noticed WHERE question = ? AND id NOT IN"
                " (SELECT id FROM noticed WHERE question = ? ORDER BY id DESC LIMIT ?)",
                (row.question, row.question, MOST_NOTICED),
            )

    def noticed(self) -> List[NoticedRow]:
        """The questions, the smallest margin first; then what the network was sure of, the newest first."""
        rows = self._connection.execute(
            "SELECT id, question, label, rival, score, margin, taken, source, picture IS NOT NULL FROM noticed"
            " ORDER BY question DESC, CASE WHEN question THEN margin ELSE -id END, id"
        )
        return [NoticedRow(*row)._replace(question=bool(row[1]), has_picture=bool(row[8])) for row in rows]

    def noticed_picture(self, noticed: int) -> Optional[bytes]:
        """The PNG of what was noticed with this id, which must be there, if it kept one."""
        return self._connection.execute("SELECT picture FROM noticed WHERE id = ?", (noticed,)).fetchone()[0]

    def confirm(self, labels: Dict[int, str], person: str) -> List[int]:
        """Makes examples of what was noticed with these ids, as one lesson. Returns the examples' ids."""
        with transaction(self._connection) as run:
            lesson, ids = self.last_lesson() + 1, []
            for noticed, label in sorted(labels.items()):
                cursor = run(
                    "INSERT INTO examples (lesson, label, person, taken, source, picture)"
                    " SELECT ?, ?, ?, taken, source, picture FROM noticed WHERE id = ?",
                    (lesson, label, person, noticed),
                )
                if cursor.rowcount != 1:  # another process has removed it since
                    continue
                ids.append(cursor.lastrowid)
                run(
                    "INSERT INTO codes SELECT ?, backbone, look, codes FROM noticed WHERE id = ?",
                    (cursor.lastrowid, noticed),
                )
                run("DELETE FROM noticed WHERE id = ?", (noticed,))
        return ids

    def remove_noticed(self) -> None:
        """Removes all that was noticed, as `remove` does."""
        with deletion(self._connection) as run:
            run("DELETE FROM noticed")

    def check(self) -> List[str]:
        """Erases what a command that was cut short deleted; then SQLite's full check: what is wrong, a line each."""
        erase(self._connection)
        return problems(self._connection)
