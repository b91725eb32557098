"""``python -m toolchain.images COMMAND``: make images, and print one JSON object about what was made. Progress is said on standard error.

``release --lock FILE --source DIR --layout DIR --name NAME [--label KEY=VALUE]...``: a release's image
``packages --lock FILE --layout DIR --name NAME``: an image that holds a lock's Python packages and nothing else
``sizes --layout DIR --name NAME``: its layers, stored and unpacked
``refresh``: take Debian's packages of today for the next base image
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from toolchain import SetupError
from toolchain.images import base, release, runtime
from toolchain.images.layout import Layout
from toolchain.process import cache_dir, explain, say


def main(arguments: list[str]) -> int:
    """Run one command; 0 when it is done, 1 when it can't be, 2 for a wrong command line."""
    options = _read(arguments)
    cache = cache_dir() / "images"
    try:
        if options.command == "refresh":
            base.refresh(cache)
            print(json.dumps({"cache": str(cache)}))
        elif options.command == "sizes":
            layout = Layout(options.layout)
            image = layout.find(options.name)
            if image is None:
                raise SetupError(f"{options.layout}: there is no whole image named {options.name}")
            print(json.dumps(release.sizes(layout, image)))
        elif options.command == "packages":
            below, image = runtime.prepare(cache, options.lock.read_text(encoding="utf-8"), scripts=())
            layout = Layout(options.layout)
            layout.take(below, image.blobs)
            print(json.dumps({"digest": layout.add(options.name, [], onto=image, config={}, history=[]).digest}))
        else:
            lock = options.lock.read_text(encoding="utf-8")
            labels = dict(label.split("=", 1) for label in options.label)
            image, below = release.make(cache, options.source, lock, Layout(options.layout), options.name, labels)
            print(json.dumps({"digest": image.digest, **runtime.packages(below)}))
    except SetupError as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        say(explain(error))
        return 1
    return 0


def _read(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m toolchain.images")
    commands = parser.add_subparsers(dest="command", required=True)
    made = commands.add_parser("release", help="a release's image")
    made.add_argument("--lock", type=Path, required=True)
    made.add_argument("--source", type=Path, required=True)
    made.add_argument("--layout", type=Path, required=True)
    made.add_argument("--name", required=True)
    made.add_argument("--label", action="append", default=[], metavar="KEY=VALUE")
    bare = commands.add_parser("packages", help="an image of Python packages alone")
    bare.add_argument("--lock", type=Path, required=True)
    bare.add_argument("--layout", type=Path, required=True)
    bare.add_argument("--name", required=True)
    looked = commands.add_parser("sizes", help="an image's layers")
    looked.add_argument("--layout", type=Path, required=True)
    looked.add_argument("--name", required=True)
    commands.add_parser("refresh", help="take Debian's packages of today for the next base image")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
