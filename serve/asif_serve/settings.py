"""Settings of the server, from environment variables that begin with ASIF_."""

import ipaddress
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from asif_data.errors import AsifError
from asif_data.model_dir import CURRENT
from asif_serve.schemas import MOST_ROWS

_NAME = re.compile(r"[A-Za-z0-9._-]{1,40}")
_ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(:\d{1,5})?|https?://\[[0-9a-f:]+\](:\d{1,5})?")


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _parts(value: str) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()]


def _keys(value: str) -> dict[str, str]:
    """Names by key. The message of an error tells a key's place, never the key."""
    names: dict[str, str] = {}
    for place, part in enumerate(_parts(value), 1):
        name, colon, key = part.partition(":")
        name, key = (name.strip(), key.strip()) if colon else (f"key-{place}", part)
        if not key or not _NAME.fullmatch(name):
            raise ValueError(
                f"expected KEY or NAME:KEY with a name of 1 to 40 letters, digits, '.', '_' or '-', found something else at place {place}"
            )
        if key in names:
            raise ValueError(f"expected different keys, found the key at place {place} twice")
        names[key] = name
    return names


class Settings(BaseSettings):
    """What the server can be told. Every field is read from ASIF_<FIELD>."""

    model_config = SettingsConfigDict(env_prefix="ASIF_", extra="ignore")
    model: Path = Field(Path("models") / CURRENT, description="model directory to serve")
    host: str = Field("127.0.0.1", description="address to listen on; without keys only loopback is allowed")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on")
    api_keys: SecretStr = Field(
        SecretStr(""),
        description="keys as KEY or NAME:KEY, separated by commas; callers send one as `Authorization: Bearer KEY`, the log says its name",
    )
    rate: int = Field(
        0,
        ge=0,
        description="most tokens a minute for each key's name; 0: no limit. A row costs 4 and one for every "
        "4 characters, no more than the model reads; its explanation as much again for every word; what is refused 4. A request is let in while a token is left: a large one runs into debt, and the next waits until that is paid",
    )
    cors_origins: str = Field(
        "", description="web pages that may ask from a browser: origins like https://app.example, separated by commas"
    )
    workers: int = Field(1, ge=1, description="processes that answer; from 2 on, one that dies is replaced")
    threads: int = Field(os.cpu_count() or 1, ge=1, description="inference threads, shared out among the workers")
    max_rows: int = Field(256, ge=1, le=MOST_ROWS, description="most utterances in one request")
    max_explained: int = Field(32, ge=1, description="most utterances in one request with explain")
    max_characters: int = Field(20_000, ge=1, description="most characters in one text or context")
    max_body: int = Field(2_000_000, ge=1, description="most bytes in one request body")
    queue_tokens: int = Field(
        65_536, ge=1, description="most tokens waiting or under way in each worker; past it callers get 429"
    )
    deadline: float = Field(
        20, gt=0, description="seconds after which a body not whole is 408, and rows not begun are dropped with 503"
    )
    docs: bool = Field(True, description="serve /docs and /openapi.json")
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)] = Field(
        "info", description="debug (also health and metrics), info (one line a request), warning or error"
    )

    @property
    def keys(self) -> dict[str, str]:
        """The name of each key; empty means that none is asked for. A key without a name is called by its place: key-1."""
        return _keys(self.api_keys.get_secret_value())

    @property
    def origins(self) -> list[str]:
        """The origins whose pages may ask."""
        return _parts(self.cors_origins)

    @field_validator("api_keys")
    @classmethod
    def _names_its_keys(cls, value: SecretStr) -> SecretStr:
        _keys(value.get_secret_value())
        return value

    @field_validator("cors_origins")
    @classmethod
    def _lists_origins(cls, value: str) -> str:
        for origin in _parts(value):
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(f"expected origins like https://app.example, found {origin!r}")
        return value

    def check_binding(self) -> None:
        """Refuse to listen beyond this machine without keys. Raises AsifError."""
        if not self.keys and not _is_loopback(self.host):
            raise AsifError(
                f"ASIF_HOST: expected a loopback address while no ASIF_API_KEYS are set, found {self.host!r}; set keys."
            )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def read_settings() -> Settings:
    """Settings from the environment. Raises AsifError that names each bad variable."""
    try:
        return Settings()  # pyright: ignore[reportCallIssue]
    except ValidationError as error:
        lines = [f"ASIF_{'_'.join(map(str, e['loc'])).upper()}: {_message(e)}." for e in error.errors()]
        raise AsifError("\n".join(lines)) from None


def _message(error: Any) -> str:
    return str(error["ctx"]["error"]) if error["type"] == "value_error" else error["msg"].lower()
