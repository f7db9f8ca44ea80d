"""A function of many keys: the batches in which it is called, and what gathers single calls into them.

Imports ``_cache``, ``_store``, ``_flight``, ``_call``, ``_base``, ``_native`` and ``memo.errors``.
"""

from memo._many.answers import BatchAnswers
from memo._many.asked import ManyFunction
from memo._many.gatherer import Gatherer
from memo._many.task_batches import TaskBatches
from memo._many.templates import many_calls
from memo._many.thread_batches import ThreadBatches

__all__ = (
    "BatchAnswers",
    "Gatherer",
    "ManyFunction",
    "TaskBatches",
    "ThreadBatches",
    "many_calls",
)
