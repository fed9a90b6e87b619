"""What kit/echo can be told, by its environment and by a request, and how that is read."""

import os
import sys

DURATIONS = {"ms": 0.001, "s": 1.0, "m": 60.0}
SIZES = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "k": 1000, "M": 1000**2}
YES, NO = ("true", "1", "yes", "on"), ("false", "0", "no", "off")


def quantity(text, units, what):
    number = text.rstrip("KMGikmsn")
    try:
        value = float(number) * (units[text[len(number) :]] if text != number else 1)
        if not 0 <= value < 1e12:
            raise ValueError
    except (ValueError, KeyError):
        raise ValueError(f"is no {what}") from None
    return value


def duration(text):
    return quantity(text, DURATIONS, "duration (write 0.5, 200ms or 3s)")


def size(text):
    return int(quantity(text, SIZES, "size (write 4096, 64Ki or 10Mi)"))


def whole(low, high):
    def read(text):
        if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
            raise ValueError(f"is no number from {low} to {high}")
        return int(text)

    return read


def rate(text):
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise ValueError("is no number from 0 to 1")
    return value


def switch(text):
    if text.lower() not in YES + NO:
        raise ValueError("is neither true nor false")
    return text.lower() in YES


def choice(*words):
    def read(text):
        if text not in words:
            raise ValueError(f"is none of {', '.join(words)}")
        return text

    return read


ENVIRONMENT = {
    "PORT": (whole(1, 65535), 8080), "VERSION": (str, ""), "FORMAT": (choice("text", "json"), "text"),
    "ACCESS_LOG": (switch, True), "DELAY": (duration, 0.0), "ERROR_RATE": (rate, 0.0),
    "ERROR_STATUS": (whole(200, 599), 500), "LEAK": (size, 0), "START_DELAY": (duration, 0.0),
    "READY_AFTER": (duration, 0.0), "HEALTHY_FOR": (duration, 0.0),
    "ON_SIGTERM": (choice("drain", "abrupt", "ignore"), "drain"), "DRAIN": (duration, 0.0),
}  # fmt: skip
WISHES = {
    "delay": duration, "cpu": duration, "status": whole(200, 599), "leak": size, "size": size, "ready": switch,
    "healthy": switch, "exit": whole(0, 255), "format": choice("text", "json"),
}  # fmt: skip


def settings():
    """The environment, read; ends with one sentence where it makes no sense."""
    found = {}
    for name, (read, default) in ENVIRONMENT.items():
        try:
            found[name] = read(os.environ[name]) if os.environ.get(name) else default
        except ValueError as error:
            sys.exit(f"kit/echo: {name}={os.environ[name]} {error}")
    return found
