#!/usr/bin/env python3
"""A real SMTP server for tests: takes mail on a free loopback port and writes every message into a folder.

Needs aiosmtpd (Debian: python3-aiosmtpd). Each file `<number>.json` holds the envelope and the raw bytes:
{"mailFrom", "rcptTos", "raw" (base64)}; it appears under its name only when it is whole. `--mode` makes the server
misbehave on purpose: `tempfail` (451), `permfail` (550 at RCPT), `slow` (answers DATA after `--delay` seconds, then takes
the mail). The mode is read again from `--mode-file`, if given, at every message, so that a test can let it recover.
Ends on SIGTERM or SIGINT.
"""

import argparse
import asyncio
import base64
import itertools
import json
import os
import signal
from pathlib import Path

from aiosmtpd.smtp import SMTP

MODES = ("ok", "tempfail", "permfail", "slow")


def write_whole(path: Path, text: str) -> None:
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


class Keeper:
    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.numbers = itertools.count(1)

    def mode(self) -> str:
        file = self.args.mode_file
        word = file.read_text(encoding="utf-8").strip() if file and file.exists() else ""
        return word if word in MODES else self.args.mode

    async def handle_RCPT(self, server, session, envelope, address, options):
        if self.mode() == "permfail":
            return f"550 5.1.1 <{address}>: no such user here"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 fine"

    async def handle_DATA(self, server, session, envelope):
        mode = self.mode()
        if mode == "tempfail":
            return f"451 4.7.1 <{envelope.rcpt_tos[0]}>: try again later"
        if mode == "slow":
            await asyncio.sleep(self.args.delay)
        mail = {
            "mailFrom": envelope.mail_from,
            "rcptTos": envelope.rcpt_tos,
            "raw": base64.b64encode(envelope.original_content).decode("ascii"),
        }
        write_whole(self.args.dir / f"{next(self.numbers):06}.json", json.dumps(mail))
        return "250 2.0.0 taken"


async def serve(args: argparse.Namespace) -> None:
    args.dir.mkdir(parents=True, exist_ok=True)
    keeper = Keeper(args)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(keeper, hostname="smtp.test", ident="test server"), "127.0.0.1", args.port)
    port = server.sockets[0].getsockname()[1]
    write_whole(args.port_file, f"{port}\n")
    print(f"ready on 127.0.0.1:{port}", flush=True)
    end = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end.set)
    await end.wait()
    server.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port-file", type=Path, required=True, help="gets the port once the server listens")
    parser.add_argument("--dir", type=Path, required=True, help="gets one file a mail")
    parser.add_argument("--port", type=int, default=0, help="default: a free one")
    parser.add_argument("--mode", choices=MODES, default="ok")
    parser.add_argument("--mode-file", type=Path, help="a file that names the mode; wins over --mode")
    parser.add_argument("--delay", type=float, default=60.0, help="seconds, in mode slow")
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
