"""Downloads one named file of the package index with pip, without building it.

`fdistill.data.archives` runs it as a separate program, because pip configures logging for the whole process and may
exit: `python pip_download.py PACKAGE FILENAME DIRECTORY`. The user's pip configuration applies (index, proxy,
certificates, credentials, `--find-links`).
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
    """`pip download` without resolver and preparer, which would run the `setup.py` of a source distribution."""

    def run(self, options: Values, args: list[str]) -> int:
        """Find the file among the package's candidates and write it to the directory under its own name."""
        package, filename, directory = args
        options.format_control = FormatControl()  # nothing is built, so a user's choice of wheels only does not matter
        session = self.get_default_session(options)
        finder = self._build_package_finder(
            options=options,
            session=session,
            target_python=make_target_python(options),
            ignore_requires_python=True,
        )
        candidates = finder.find_all_candidates(package)
        link = next((candidate.link for candidate in candidates if candidate.link.filename == filename), None)
        if link is None:
            raise DistributionNotFound(f"{filename} is not among the {len(candidates)} files found for {package}")
        path, _ = Downloader(session, "off")(link, directory)
        Path(path).replace(Path(directory) / filename)  # a server may send another file name
        return SUCCESS


def target_options(filename: str) -> list[str]:
    """Return the pip options that make a file usable whatever this machine is; none for a portable file."""
    if not filename.endswith(".whl") or filename.endswith("-any.whl"):
        return []
    python, abi, platforms = filename.removesuffix(".whl").split("-")[-3:]
    options = [f"--implementation={python[:2]}", f"--python-version={python[2:]}", f"--abi={abi}"]
    return options + [f"--platform={platform}" for platform in platforms.split(".")]


if __name__ == "__main__":
    quiet = ["-q", "--no-input", "--disable-pip-version-check"]
    command = DownloadFile("download", "download one file without building it")
    sys.exit(command.main(quiet + target_options(sys.argv[2]) + sys.argv[1:]))
