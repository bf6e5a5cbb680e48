"""What the zygote imports and runs once, so that no isolate has to.

Imported only once the zygote sees nothing but trusted code: the interpreter and the SDK with what it
needs. The standard modules are those that extensions are likely to import.
"""

import asyncio
import base64
import collections
import contextlib
import dataclasses
import datetime
import decimal
import enum
import functools
import hashlib
import importlib.metadata
import inspect
import io
import json
import logging
import math
import pathlib
import random
import re
import string
import tempfile
import textwrap
import traceback
import typing
import urllib.parse
import uuid
from types import ModuleType

import msgspec
import pydantic
from pydantic import BaseModel, Field

import imperal_sdk
from imperal_sdk import ActionResult, ChatExtension, Context, Extension
from imperal_sdk.wire import Connection, Ready, Return, Role
from imperal_sdk.worker import limits, loader, serve

MODULES: tuple[ModuleType, ...] = (
    asyncio, base64, collections, contextlib, dataclasses, datetime, decimal, enum, functools, hashlib, inspect, io,
    importlib.metadata, json, logging, math, pathlib, random, re, string, tempfile, textwrap, traceback, typing,
    urllib.parse, uuid, msgspec, pydantic, imperal_sdk, limits, loader, serve,
)  # fmt: skip


class _Parameters(BaseModel):
    text: str = Field(description="Some.", min_length=1)
    words: list[str] = []
    number: int | None = Field(None, ge=0)


def warm() -> None:
    """Walk the paths of a call once, without a loop: those are made after the clone."""
    extension = Extension("warm", version="0.0.0", display_name="Warm", description="Nobody's.")
    chat = ChatExtension(extension)

    @chat.function(description="Echo.", action_type="read")
    async def echo(ctx: Context, params: _Parameters) -> ActionResult[_Parameters]:
        return ActionResult.success(params)

    manifest = loader.describe(extension)
    isolate, host = Connection(Role.ISOLATE), Connection(Role.HOST)
    host.receive(isolate.send(Ready(manifest.model_dump(mode="json"))))
    for _ in range(20):
        arguments = _Parameters.model_validate({"text": "a", "words": ["b"]}).model_dump(mode="json")
        host.receive(isolate.send(Return("0", ActionResult.success(arguments).to_dict())))
