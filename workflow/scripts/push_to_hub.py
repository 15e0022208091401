"""Publish an exported model on the hub: list what would be uploaded and, with --yes, upload it.

Files that the export did not write are left out, and named. The repository is private unless --public is given. The
token is that of HF_TOKEN or of `hf auth login`; it is never shown.
"""

import argparse
from pathlib import Path

from fdistill.config import cli
from fdistill.models.publication import has_token, planned, push


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="folder of an exported model (rule export)")
    parser.add_argument("--repository", required=True, metavar="OWNER/NAME", help="the model's repository on the hub")
    parser.add_argument("--public", action="store_true", help="create a repository that everybody can read")
    parser.add_argument("--yes", action="store_true", help="upload; without it, files are only listed")
    args = parser.parse_args()
    upload = planned(args.folder, args.repository, private=not args.public)
    kind = "public" if args.public else "private"
    print(f"{upload.folder} -> {upload.repository} ({kind}, if it is created now)")
    for name, size in upload.files.items():
        print(f"{size:>15,}  {name}")
    print(f"{sum(upload.files.values()):>15,}  bytes in {len(upload.files)} files")
    for name in upload.left_out:
        print(f"left out, as it is no file of the export: {name}")
    if not args.yes:
        needed = "" if has_token() else " That needs a token: set HF_TOKEN, or run `hf auth login`."
        print(f"Nothing was uploaded; add --yes to upload these files.{needed}")
        return
    print(f"uploaded: {push(upload)}")


if __name__ == "__main__":
    cli.run(main)
