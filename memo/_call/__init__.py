"""A call: the signature it is made by, the key it has, and the wrapper that makes it.

Imports ``_base``, ``_native``, and ``_freeze`` for the marks in keys.
"""

from memo._call.bound_calls import called_in_class, called_with_class, called_with_instance, called_without_instance
from memo._call.call_info import CallInfo, takes_call
from memo._call.call_source import CallSource
from memo._call.fits import check_takes
from memo._call.freezing import freeze, freeze_typed
from memo._call.handles import Call, FenceOthers, Handle
from memo._call.instances import (
    ArgumentRef,
    InstanceRef,
    belongs_to,
    held_parts,
    owner_of,
    refs_in,
    rest_of,
)
from memo._call.key_functions import is_looked_at, looked_at
from memo._call.key_marks import SPELLED, Through
from memo._call.key_names import check_names
from memo._call.key_plan import KeyPlan, check_asked
from memo._call.key_types import TOLD
from memo._call.keys import Keys
from memo._call.recipes import Native
from memo._call.signature import ExactSignature, KeyOptions, Scope, Shape, check_key_options
from memo._call.source import Block
from memo._call.stored_keys import PLAIN_KEYS, Known, Undecided, comparing_outside, plain_key, stored_key
from memo._call.tokens import Tokens
from memo._call.wrapper import LAYER, Generated, share

__all__ = (
    "LAYER",
    "PLAIN_KEYS",
    "SPELLED",
    "TOLD",
    "ArgumentRef",
    "Block",
    "Call",
    "CallInfo",
    "CallSource",
    "ExactSignature",
    "FenceOthers",
    "Generated",
    "Handle",
    "InstanceRef",
    "KeyOptions",
    "KeyPlan",
    "Keys",
    "Known",
    "Native",
    "Scope",
    "Shape",
    "Through",
    "Tokens",
    "Undecided",
    "belongs_to",
    "called_in_class",
    "called_with_class",
    "called_with_instance",
    "called_without_instance",
    "check_asked",
    "check_key_options",
    "check_names",
    "check_takes",
    "comparing_outside",
    "freeze",
    "freeze_typed",
    "held_parts",
    "is_looked_at",
    "looked_at",
    "owner_of",
    "plain_key",
    "refs_in",
    "rest_of",
    "share",
    "stored_key",
    "takes_call",
)
