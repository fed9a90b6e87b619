"""What can go wrong around a cluster, said once, in one sentence.

`kit` prints the sentence on stderr and ends with `exit_code`; a notebook shows it without a traceback.
"""

from __future__ import annotations

EXIT_FAILED = 1  # what was asked for did not come true
EXIT_USAGE = 2  # the command line makes no sense (argparse's own code)
EXIT_NO_CLUSTER = 3  # no such cluster, or it does not run
EXIT_CANNOT_START = 4  # the machine does not allow it: port, disk, damaged store
EXIT_INTERNAL = 70  # a bug in kit (sysexits' EX_SOFTWARE)


class KitError(Exception):
    """A sentence for a person.  It says what is wrong and, where there is something, what to do."""

    exit_code = EXIT_FAILED


class UsageError(KitError):
    exit_code = EXIT_USAGE


class NoCluster(KitError):
    exit_code = EXIT_NO_CLUSTER


class CannotStart(KitError):
    exit_code = EXIT_CANNOT_START
