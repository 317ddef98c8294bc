"""Receive uploads: what is too large is refused while it arrives, and nothing is kept of what does not arrive whole."""

from __future__ import annotations

from pathlib import Path

from gradio import route_utils
from gradio.route_utils import GradioMultiPartParser, GradioUploadFile
from starlette.datastructures import FormData
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect

from apps.studio import uploads

CUT_OFF = "The upload was cut off; send the file again."


class UploadParser(GradioMultiPartParser):
    """Gradio's parser of uploads, which deletes the parts of those that fail, however they do (it keeps them, in 6.31).

    A visitor who leaves in the middle is no fault of the studio: Gradio answers a `MultiPartException`, where it would
    report any other one as its own.
    """

    async def parse(self) -> FormData:
        """The form with its files. Raises MultiPartException where it is too large, or does not arrive whole."""
        self.max_file_size = min(self.max_file_size, uploads.MAX_BYTES)
        kept: set[str] = set()
        try:
            form = await super().parse()
            kept = {item.file.name for _, item in form.multi_items() if isinstance(item, GradioUploadFile)}
            if len(kept) < len(self._files_to_close_on_error):
                kept = set()
                raise MultiPartException(CUT_OFF)
            return form
        except ClientDisconnect:
            raise MultiPartException(CUT_OFF) from None
        except MultiPartException as error:
            if "maximum allowed size" not in error.message:
                raise
            # Gradio answers texts with these words with the status of bodies that are too large.
            limit = f"{uploads.MAX_BYTES >> 20} MB are the maximum allowed size of a file here"
            raise MultiPartException(f"{limit}; the command line takes more.") from None
        finally:
            for file in self._files_to_close_on_error:
                if file.name not in kept:
                    file.close()
                    Path(file.name).unlink(missing_ok=True)
            if not kept and self.upload_progress is not None:
                self.upload_progress.set_done(self.upload_id)  # pyright: ignore[reportArgumentType]  (given with it)


def use_upload_parser() -> None:
    """Have Gradio receive uploads by `UploadParser`."""
    route_utils.GradioMultiPartParser = UploadParser
