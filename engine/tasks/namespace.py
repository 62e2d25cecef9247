"""Tasks on the files of a namespace (dialect, sections 2.4 and 6.2).

Git holds these files, and only a commit changes them: an execution reads them as its own commit has them. So the
tasks that would change them are known, are validated like any other, and fail with the way to go.
"""

from __future__ import annotations

from typing import Any, NoReturn

from engine.errors import NotPermitted, UserError
from engine.model.base import Text
from engine.model.task import Inline, InlineContext, Metric, TaskResult
from engine.tasks.rows import Check, in_thread
from engine.tasks.script_files import fits
from engine.tasks.values import names


class DownloadFiles(Inline):
    """Copies the files of a namespace that fit `files` to internal storage."""

    namespace: Text
    files: list[Text] | Text
    destination: Text = "/"

    async def run(self, context: InlineContext) -> TaskResult:
        """Output `files`: URIs by path, below `destination`, with a leading slash."""
        namespace = context.render(self.namespace).strip()
        patterns = names(self.files, "files", context)
        folder = context.render(self.destination).strip("/")
        if ".." in folder.split("/"):
            raise UserError("`destination` climbs out of its folder with `..`", hint="give a plain path")
        prefix = f"/{folder}/" if folder else "/"

        def work(check: Check) -> dict[str, str]:
            found = {}
            for name, content in sorted(context.namespace_files(namespace).items()):
                check()
                if any(fits(name, pattern) for pattern in patterns):
                    found[prefix + name] = context.store_file(prefix + name, content)
            return found

        stored = await in_thread(work)
        return TaskResult(outputs={"files": stored}, metrics=(Metric("downloaded", "counter", len(stored)),))


class UploadFiles(Inline):
    """Cannot be carried out: a commit to the flows repository changes the files of a namespace."""

    namespace: Text | None = None
    files: Any = None
    files_map: Any = None
    destination: Text = "/"
    conflict: Text = "OVERWRITE"

    async def run(self, context: InlineContext) -> TaskResult:
        """Raises NotPermitted."""
        _refuse(context, self.namespace)


class DeleteFiles(Inline):
    """Cannot be carried out: a commit to the flows repository changes the files of a namespace."""

    namespace: Text | None = None
    files: Any = None
    delete_parent_folder: Any = False

    async def run(self, context: InlineContext) -> TaskResult:
        """Raises NotPermitted."""
        _refuse(context, self.namespace)


def _refuse(context: InlineContext, namespace: str | None) -> NoReturn:
    name = context.render(namespace) if namespace else context.namespace
    raise NotPermitted(
        f"the files of namespace `{name}` live in Git, and only a commit changes them",
        hint=f"commit to `files/{name}/`, or keep the file in internal storage and its URI in the key-value store",
    )
