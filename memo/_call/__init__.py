"""A call: the signature it is made by, the key it has, and the wrapper that makes it.

Imports ``_base``, and ``_freeze`` for the marks in keys.
"""

from memo._call.bound_calls import called_in_class, called_with_class, called_with_instance, called_without_instance
from memo._call.call_source import CallSource
from memo._call.freezing import freeze, freeze_typed
from memo._call.handles import Call, FenceOthers, Handle
from memo._call.instances import InstanceRef, Instances, belongs_to, owner_of, rest_of
from memo._call.key_marks import Through
from memo._call.key_plan import check_ignored
from memo._call.keys import Keys
from memo._call.signature import KeyOptions, Shape, check_key_options
from memo._call.source import Block
from memo._call.stored_keys import PLAIN_KEYS, Known, Undecided, comparing_outside, plain_key, stored_key
from memo._call.wrapper import LAYER, Generated, Maker, share

__all__ = (
    "LAYER",
    "PLAIN_KEYS",
    "Block",
    "Call",
    "CallSource",
    "FenceOthers",
    "Generated",
    "Handle",
    "InstanceRef",
    "Instances",
    "KeyOptions",
    "Keys",
    "Known",
    "Maker",
    "Shape",
    "Through",
    "Undecided",
    "belongs_to",
    "called_in_class",
    "called_with_class",
    "called_with_instance",
    "called_without_instance",
    "check_ignored",
    "check_key_options",
    "comparing_outside",
    "freeze",
    "freeze_typed",
    "owner_of",
    "plain_key",
    "rest_of",
    "share",
    "stored_key",
)
