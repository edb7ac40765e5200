"""Settings of the server, from environment variables that begin with ASIF_."""

import ipaddress
import os
from pathlib import Path

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from asif_data.errors import AsifError
from asif_data.model_dir import CURRENT


class Settings(BaseSettings):
    """What the server can be told. Every field is read from ASIF_<FIELD>."""

    model_config = SettingsConfigDict(env_prefix="ASIF_", extra="ignore")
    model: Path = Field(Path("models") / CURRENT, description="model directory to serve")
    host: str = Field("127.0.0.1", description="address to listen on; without keys only loopback is allowed")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on")
    api_keys: str = Field("", description="comma-separated keys; callers send one as `Authorization: Bearer KEY`")
    workers: int = Field(1, ge=1, description="processes that answer; from 2 on, one that dies is replaced")
    threads: int = Field(os.cpu_count() or 1, ge=1, description="inference threads, shared out among the workers")
    max_rows: int = Field(256, ge=1, description="most utterances in one request")
    max_explained: int = Field(32, ge=1, description="most utterances in one request with explain")
    max_characters: int = Field(20_000, ge=1, description="most characters in one text or context")
    max_body: int = Field(2_000_000, ge=1, description="most bytes in one request body")
    queue_tokens: int = Field(65_536, ge=1, description="most tokens waiting or under way; past it callers get 429")
    deadline: float = Field(
        20, gt=0, description="seconds after which a body not whole is 408, and rows not begun are dropped with 503"
    )
    docs: bool = Field(True, description="serve /docs and /openapi.json")

    @property
    def keys(self) -> list[str]:
        """The keys, in the order given; empty means that none is asked for."""
        return [key.strip() for key in self.api_keys.split(",") if key.strip()]

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
        lines = [f"ASIF_{'_'.join(map(str, e['loc'])).upper()}: {e['msg'].lower()}." for e in error.errors()]
        raise AsifError("\n".join(lines)) from None
