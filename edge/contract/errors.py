"""The errors that a person can meet, each of which says what was found, what was expected and what to do.

EdgewiseError            exit code 1
|-- UsageError           exit code 2: the command itself was wrong
|-- InputError           a picture, folder, film or data set that cannot be used
|-- FormatError          a file of ours that is malformed: manifest, head, golden vectors, run folder
|-- TrustError           a signature, hash or counter that does not hold
|-- GateError            a measured claim that does not hold, so nothing is released
|-- BoardError           a board that cannot do what was asked: disk, permissions, nothing installed
`-- SourceError          a camera or film that does not open or stops
"""


class EdgewiseError(Exception):
    """One line for a person: `found`, then what was `expected`, then the `remedy`."""

    exit_code = 1

    def __init__(self, found: str, expected: str, remedy: str) -> None:
        super().__init__(found, expected, remedy)
        self.found = found
        self.expected = expected
        self.remedy = remedy

    def __str__(self) -> str:
        return "{}; expected {}; {}".format(self.found, self.expected, self.remedy)


class UsageError(EdgewiseError):
    exit_code = 2


class InputError(EdgewiseError):
    pass


class FormatError(EdgewiseError):
    pass


class TrustError(EdgewiseError):
    pass


class GateError(EdgewiseError):
    pass


class BoardError(EdgewiseError):
    pass


class SourceError(EdgewiseError):
    pass
