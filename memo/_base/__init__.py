"""What everything stands on and what knows nothing of memo: time, locks, callers, sizes, text, units, options.

Knows no function, no key and no entry.  Imports nothing of the package but ``_late`` and ``memo.errors``.
"""

from memo._base.asides import Aside, Pair, set_at_once
from memo._base.audience import EVERYTHING, Audience, Covers, Hearer, Item, Seat
from memo._base.callers import (
    Caller,
    bounded_gate,
    caller,
    caller_lives,
    claim,
    gate_for,
    greenlet_of,
    is_running,
    runs_a_loop,
    thread_ident,
    who,
)
from memo._base.clock import (
    Clock,
    ReadClock,
    call_when,
    check_clock,
    default_clock,
    exchange_default,
    is_advanced_by_hand,
)
from memo._base.closest import did_you_mean
from memo._base.depth import need_depth
from memo._base.exception_copies import frameless_copy, note_on, renewed, shared_copy
from memo._base.forks import Stage, hold, renew
from memo._base.frozen_dataclass import frozen_dataclass
from memo._base.gates import Bell, Gate, start
from memo._base.key_text import BIG, ITEMS, Failure, KeyText, failure_text, label, stored_key
from memo._base.load_observers import Load, LoadObserver, observe_loads
from memo._base.loop_time import Timer, call_elsewhere, call_in
from memo._base.one_shot import PLAIN, OneShot, refuse_one_shot, refuser
from memo._base.option_checks import check_error_types, check_plain
from memo._base.other_colour import EnteredByAsyncWith, EnteredByWith
from memo._base.pacing import SEVERAL, Pace, in_slices, unhurried
from memo._base.printed import print_text
from memo._base.real_time import real
from memo._base.recordings import (
    RECORDING_MAGIC,
    RecordedKeys,
    read_recording,
    recording_header,
    recording_seal,
)
from memo._base.seldom import Seldom
from memo._base.shortened import LONGEST, cut, given_text, qualified_name, short_text
from memo._base.shown_signature import shown_signatures
from memo._base.sizes import HELD, OfTheProgram, reachable, sizeof, total_size
from memo._base.slips import is_decorable, knows_its_options, refuse_bare, refuse_class
from memo._base.snapshots import Frozen, FrozenDict, Snapshot, counter, counter_where_there, freeze_fields, in_lines
from memo._base.staying import Staying, StayingHandle
from memo._base.swept import Swept
from memo._base.tags import NO_TAGS, TaggedCall, Tags, TagsOption, check_tag, check_tag_names, check_tags
from memo._base.text_table import (
    MOST,
    SHORTEST,
    aligned,
    aligned_columns,
    escaped,
    fitted,
    fitted_columns,
    html_rows,
    width,
    widths,
)
from memo._base.thread_locks import rlock
from memo._base.tracked import Tracked
from memo._base.units import (
    Duration,
    byte_size,
    counted,
    format_bytes,
    format_seconds,
    is_of,
    positive_int,
    real_number,
    seconds,
    seconds_in_words,
)
from memo._base.waits import finish, one_step, until
from memo._base.weak_ways import is_open_class, way_to_weak_references
from memo._base.weakly import Weakly
from memo._base.whole_files import Path, WholeFile
from memo._base.wrapping import attribute, generates, is_awaited, run_by, wrapped_by

__all__ = (
    "BIG",
    "EVERYTHING",
    "HELD",
    "ITEMS",
    "LONGEST",
    "MOST",
    "NO_TAGS",
    "PLAIN",
    "RECORDING_MAGIC",
    "SEVERAL",
    "SHORTEST",
    "Aside",
    "Audience",
    "Bell",
    "Caller",
    "Clock",
    "Covers",
    "Duration",
    "EnteredByAsyncWith",
    "EnteredByWith",
    "Failure",
    "Frozen",
    "FrozenDict",
    "Gate",
    "Hearer",
    "Item",
    "KeyText",
    "Load",
    "LoadObserver",
    "OfTheProgram",
    "OneShot",
    "Pace",
    "Pair",
    "Path",
    "ReadClock",
    "RecordedKeys",
    "Seat",
    "Seldom",
    "Snapshot",
    "Stage",
    "Staying",
    "StayingHandle",
    "Swept",
    "TaggedCall",
    "Tags",
    "TagsOption",
    "Timer",
    "Tracked",
    "Weakly",
    "WholeFile",
    "aligned",
    "aligned_columns",
    "attribute",
    "bounded_gate",
    "byte_size",
    "call_elsewhere",
    "call_in",
    "call_when",
    "caller",
    "caller_lives",
    "check_clock",
    "check_error_types",
    "check_plain",
    "check_tag",
    "check_tag_names",
    "check_tags",
    "claim",
    "counted",
    "counter",
    "counter_where_there",
    "cut",
    "default_clock",
    "did_you_mean",
    "escaped",
    "exchange_default",
    "failure_text",
    "finish",
    "fitted",
    "fitted_columns",
    "format_bytes",
    "format_seconds",
    "frameless_copy",
    "freeze_fields",
    "frozen_dataclass",
    "gate_for",
    "generates",
    "given_text",
    "greenlet_of",
    "hold",
    "html_rows",
    "in_lines",
    "in_slices",
    "is_advanced_by_hand",
    "is_awaited",
    "is_decorable",
    "is_of",
    "is_open_class",
    "is_running",
    "knows_its_options",
    "label",
    "need_depth",
    "note_on",
    "observe_loads",
    "one_step",
    "positive_int",
    "print_text",
    "qualified_name",
    "reachable",
    "read_recording",
    "real",
    "real_number",
    "recording_header",
    "recording_seal",
    "refuse_bare",
    "refuse_class",
    "refuse_one_shot",
    "refuser",
    "renew",
    "renewed",
    "rlock",
    "run_by",
    "runs_a_loop",
    "seconds",
    "seconds_in_words",
    "set_at_once",
    "shared_copy",
    "short_text",
    "shown_signatures",
    "sizeof",
    "start",
    "stored_key",
    "thread_ident",
    "total_size",
    "unhurried",
    "until",
    "way_to_weak_references",
    "who",
    "width",
    "widths",
    "wrapped_by",
)
