"""The account's list, page by page."""

from __future__ import annotations

from manifest_runner.service.replies import Envelope, Task, TaskPage, task_of, without


class Listing:
    """Reads pages of the list. An entry that says what it said a page ago is not read anew: of those under way hardly
    one in ten has changed between two looks, and reading them is most of what a look costs."""

    def __init__(self) -> None:
        self._before: dict[str, tuple[object, Task]] = {}  # of the last page: each entry, and what it said

    def page_from(self, envelope: Envelope, *, page_size: int) -> TaskPage:
        """The tasks of a list answer. Entries that are no tasks are left out, and those beyond the size that was asked
        for; `null` is an empty list. GarbledReply when it is none.

        A task's `request_id` is that of the first answer that told of it just so.
        """
        items = [] if envelope.data is None else envelope.data
        if not isinstance(items, list):
            raise without(envelope, "a list of tasks")
        before, self._before = self._before, {}
        tasks = []
        for item in items[:page_size]:
            key = item.get("task_id") if isinstance(item, dict) else None
            known = before.get(key) if isinstance(key, str) else None
            task = known[1] if known and known[0] == item else task_of(item, envelope.request_id)
            if task is not None:
                tasks.append(task)
                self._before[task.task_id] = (item, task)
        return TaskPage(tasks=tuple(tasks), listed=len(items), request_id=envelope.request_id)
