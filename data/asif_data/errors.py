"""The one base class of every error that a user can mend."""


class AsifError(Exception):
    """Says in one sentence what was expected, what was found, where, and what to do.

    Command lines print it and exit with status 1; it never carries an utterance.
    """
