"""Rows of docs-router: docstrings of the standard library that is installed, each with the part of the library that it belongs to."""

import importlib
import inspect
import platform
from collections.abc import Iterator
from datetime import date, datetime
from types import ModuleType
from typing import Any

# The chapters of the library's reference, small ones joined with their neighbours.
PARTS = {
    "concurrency": """
        _thread asyncio.base_events asyncio.events asyncio.futures asyncio.locks asyncio.queues asyncio.runners asyncio.subprocess
        asyncio.taskgroups asyncio.tasks asyncio.timeouts concurrent.futures._base concurrent.futures.process concurrent.futures.thread
        contextvars multiprocessing.connection multiprocessing.context multiprocessing.managers multiprocessing.pool
        multiprocessing.process multiprocessing.queues multiprocessing.shared_memory multiprocessing.synchronize multiprocessing.util
        queue sched subprocess threading""",
    "data compression and archiving": "_compression bz2 gzip lzma tarfile zipfile zlib",
    "data types": """
        _collections_abc _strptime _weakrefset array bisect calendar collections copy datetime enum graphlib heapq pprint reprlib types
        weakref zoneinfo""",
    "development tools": """
        ast bdb cProfile code codeop compileall dis doctest ensurepip faulthandler inspect keyword pdb pickletools profile pstats py_compile
        pyclbr pydoc symtable tabnanny timeit token tokenize trace tracemalloc typing unittest.async_case unittest.case unittest.loader
        unittest.main unittest.mock unittest.result unittest.runner unittest.suite venv zipapp""",
    "file and directory access": "_pyio filecmp fileinput fnmatch glob io linecache ntpath os pathlib posixpath shutil stat tempfile",
    "file formats and persistence": "configparser copyreg csv dbm.dumb marshal netrc pickle plistlib shelve sqlite3 tomllib._parser",
    "internet and mail": """
        base64 binascii email._header_value_parser email._policybase email.charset email.contentmanager email.encoders email.feedparser
        email.generator email.header email.headerregistry email.message email.mime.image email.mime.text email.parser email.policy
        email.utils ftplib http.client http.cookiejar http.cookies http.server imaplib ipaddress json json.decoder json.encoder mailbox
        mimetypes poplib quopri smtplib socketserver urllib.error urllib.parse urllib.request urllib.response urllib.robotparser uuid
        webbrowser wsgiref.handlers wsgiref.headers wsgiref.simple_server wsgiref.util wsgiref.validate xmlrpc.client xmlrpc.server""",
    "language services": """
        abc atexit builtins contextlib dataclasses gc importlib importlib._bootstrap importlib._bootstrap_external importlib.abc
        importlib.machinery importlib.metadata importlib.resources importlib.util modulefinder pkgutil runpy site sys sysconfig traceback
        warnings zipimport""",
    "networking": "asyncio.protocols asyncio.sslproto asyncio.streams asyncio.transports mmap select selectors signal socket ssl",
    "numeric and mathematical": "_pydecimal cmath decimal fractions functools itertools math numbers operator random statistics",
    "operating system services": """
        argparse ctypes ctypes.util curses curses.panel curses.textpad errno fcntl getopt getpass grp logging logging.config
        logging.handlers platform pty pwd resource syslog termios time tty""",
    "structured markup": """
        html html.entities html.parser xml.dom xml.dom.minidom xml.dom.pulldom xml.etree.ElementTree xml.parsers.expat xml.sax
        xml.sax.handler xml.sax.saxutils xml.sax.xmlreader""",
    "text processing": "cmd codecs difflib gettext locale re re._compiler re._parser shlex string stringprep struct textwrap unicodedata",
}
SHORTEST, LONGEST = 20, 4000


def batches(until: date) -> Iterator[tuple[date, list[dict[str, object]]]]:
    """One batch, which arrived on the day on which the installed Python was built: another Python brings another batch."""
    del until
    built = datetime.strptime(" ".join(platform.python_build()[1].split()[:3]), "%b %d %Y").date()
    yield built, rows()


def rows() -> list[dict[str, object]]:
    """Each docstring once. One that stands in several parts (inherited, or said of everything) belongs to none."""
    parts: dict[str, set[str]] = {}
    for part, modules in PARTS.items():
        for name in modules.split():
            for text in _texts(name):
                parts.setdefault(text, set()).add(part)
    return [{"text": text, "part": part} for text, found in sorted(parts.items()) if len(found) == 1 for part in found]


def _texts(name: str) -> Iterator[str]:
    try:
        module = importlib.import_module(name)
    except ImportError:  # parts of the library are packaged apart, or for other systems
        return
    for each in _documented(module):
        text = "".join(sign for sign in inspect.cleandoc(each) if sign.isprintable() or sign in "\n\t")[:LONGEST].strip()
        if len(text) >= SHORTEST:
            yield text


def _documented(module: ModuleType) -> Iterator[str]:
    own = {module.__name__, f"_{module.__name__}"}
    found: list[Any] = [module]
    for each in vars(module).values():
        if inspect.isbuiltin(each) or (inspect.isroutine(each) and getattr(each, "__module__", None) in own):
            found.append(each)
        elif inspect.isclass(each) and each.__module__ in own:
            found += [each, *(member for name, member in vars(each).items() if not name.startswith("__"))]
    for each in found:
        is_said = isinstance(each, ModuleType | type | property | classmethod | staticmethod) or inspect.isroutine(each)
        text = vars(each).get("__doc__") if isinstance(each, type) else getattr(each, "__doc__", None)
        if is_said and isinstance(text, str):
            yield text
