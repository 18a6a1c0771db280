"""The options of the verbs that judge new pictures: predict and serve."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from commands.verdicts.verdict import MOST_DAYS

GIVEN = (
    "Pictures, folders, patterns, and - for a list on standard input; without --category after a bundle or a product."
)
Images = Annotated[list[Path], Argument(help=GIVEN, metavar="[BUNDLE|PRODUCT] PATH")]
Output = Annotated[Path, Option(help="Folder to make for the results.", metavar="FOLDER")]
Product = Annotated[str | None, Option(help="Product: a key of `categories` in params.yaml.", metavar="NAME")]
Method = Annotated[
    str | None, Option(help="oddpart, aecsad or patchcore; the first of them that is on without it.", metavar="NAME")
]
Overwrite = Annotated[bool, Option("--overwrite", help="Replace earlier results of this command.")]
Heatmaps = Annotated[bool, Option("--heatmaps", help="Draw a heatmap of each picture.")]

Watch = Annotated[
    Path | None, Option(help="Judge what a camera drops into this folder, until SIGTERM.", metavar="FOLDER")
]
Stay = Annotated[bool, Option("--stay", help="With --watch: leave judged pictures where they are.")]
SETTLE, PATIENCE = 1.0, 30.0  # seconds
Settle = Annotated[float, Option(help="With --watch: seconds that a whole file does not change.", min=0)]
Patience = Annotated[float, Option(help="With --watch: seconds until a file that cannot be read is given up.", min=0)]

STORE = "Verdict store: a file, sqlite:///FILE or postgresql://USER@HOST/NAME; ODDPART_STORE"
OwnStore = Annotated[
    str | None,
    Option(help=f"{STORE}, or verdicts.sqlite in the output without it.", metavar="FILE|URL", envvar="ODDPART_STORE",
           show_envvar=False),
]  # fmt: skip
Store = Annotated[
    str,
    Option(help=f"{STORE} without it.", metavar="FILE|URL", envvar="ODDPART_STORE", show_envvar=False),
]
TagsOfLine = Annotated[
    list[str] | None,
    Option("--tag", help="What the line says of the pictures, as lot=123; repeatable.", metavar="KEY=VALUE"),
]
Station = Annotated[
    str | None,
    Option(help="Name of this machine or camera in the store; ODDPART_STATION or the host's name without it."),
]
KeepDays = Annotated[
    float | None,
    Option(
        help="Of --watch and serve: delete older verdicts, once an hour; none without it.",
        metavar="DAYS",
        min=0,
        max=MOST_DAYS,
    ),
]

MOST = 1_000_000  # megabytes, megapixels or pictures
Bundles = Annotated[list[str], Argument(help="Folders of bundles.", metavar="[NAME=]BUNDLE")]
Host = Annotated[str, Option(help="Address to listen on.")]
Port = Annotated[int, Option(help="Port to listen on.", min=0, max=65535)]
TokenFile = Annotated[
    Path | None, Option(help="File of mode 0600 with the token; ODDPART_TOKEN without it.", metavar="FILE")
]
InsecureLoopback = Annotated[bool, Option("--insecure-loopback", help="Ask for no token; on 127.0.0.1 only.")]
Threads = Annotated[int | None, Option(help="Threads of a graph; all cores without it.", min=1, max=1024)]
MaxBody = Annotated[float, Option(help="Megabytes of a request.", min=0, max=MOST)]
MaxHeld = Annotated[float, Option(help="Megabytes of all requests that are received or wait.", min=0, max=MOST)]
MaxMegapixels = Annotated[float, Option(help="Of a picture, by its header.", min=0, max=MOST)]
MaxPictures = Annotated[int, Option(help="Pictures of a request.", min=0, max=MOST)]
Queue = Annotated[int, Option(help="Pictures that may wait; then the answer is 429.", min=0, max=MOST)]
Timeout = Annotated[float, Option(help="Seconds to receive a request, and again to judge it.", min=0, max=86_400)]
