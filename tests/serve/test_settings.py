from pathlib import Path

import pytest

from asif_data.errors import AsifError
from asif_serve.settings import Settings, read_settings


def test_the_defaults_serve_the_current_model_on_this_machine_only():
    settings = read_settings()
    assert (settings.model, settings.host, settings.port) == (Path("models/current"), "127.0.0.1", 8000)
    assert settings.keys == {}
    assert settings.origins == []
    settings.check_binding()


@pytest.mark.parametrize(
    ("variable", "value", "field", "expected"),
    [
        ("ASIF_MODEL", "elsewhere/one", "model", Path("elsewhere/one")),
        ("ASIF_HOST", "::1", "host", "::1"),
        ("ASIF_PORT", "0", "port", 0),
        ("ASIF_API_KEYS", "one,two", "keys", {"one": "key-1", "two": "key-2"}),
        ("ASIF_RATE", "600", "rate", 600),
        (
            "ASIF_CORS_ORIGINS",
            "https://a.example,http://[::1]:3000",
            "origins",
            ["https://a.example", "http://[::1]:3000"],
        ),
        ("ASIF_LOG_LEVEL", "WARNING", "log_level", "warning"),
        ("ASIF_THREADS", "3", "threads", 3),
        ("ASIF_MAX_ROWS", "4", "max_rows", 4),
        ("ASIF_MAX_EXPLAINED", "5", "max_explained", 5),
        ("ASIF_MAX_CHARACTERS", "6", "max_characters", 6),
        ("ASIF_MAX_BODY", "7", "max_body", 7),
        ("ASIF_QUEUE_TOKENS", "8", "queue_tokens", 8),
        ("ASIF_DEADLINE", "0.5", "deadline", 0.5),
        ("ASIF_WORKERS", "2", "workers", 2),
        ("ASIF_DOCS", "false", "docs", False),
    ],
)
def test_a_variable_sets_its_field(monkeypatch, variable, value, field, expected):
    monkeypatch.setenv(variable, value)
    assert getattr(read_settings(), field) == expected


def test_every_field_says_what_it_is():
    assert all(field.description for field in Settings.model_fields.values())


def test_variables_of_others_do_not_matter(monkeypatch):
    monkeypatch.setenv("ASIF_SOMETHING_ELSE", "1")
    monkeypatch.setenv("PORT", "1")
    assert read_settings().port == 8000


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ASIF_PORT", "http"),
        ("ASIF_PORT", "65536"),
        ("ASIF_PORT", "-1"),
        ("ASIF_THREADS", "0"),
        ("ASIF_MAX_ROWS", "0"),
        ("ASIF_MAX_EXPLAINED", "many"),
        ("ASIF_MAX_CHARACTERS", "1.5"),
        ("ASIF_MAX_BODY", ""),
        ("ASIF_QUEUE_TOKENS", "-2"),
        ("ASIF_DEADLINE", "0"),
        ("ASIF_WORKERS", "0"),
        ("ASIF_DOCS", "perhaps"),
        ("ASIF_MAX_ROWS", "4097"),
        ("ASIF_RATE", "-1"),
        ("ASIF_RATE", "fast"),
        ("ASIF_LOG_LEVEL", "loud"),
        ("ASIF_CORS_ORIGINS", "*"),
        ("ASIF_CORS_ORIGINS", "https://a.example/page"),
        ("ASIF_CORS_ORIGINS", "a.example"),
        ("ASIF_CORS_ORIGINS", "null"),
        ("ASIF_API_KEYS", ":key"),
        ("ASIF_API_KEYS", "name:"),
        ("ASIF_API_KEYS", "a name:key"),
        ("ASIF_API_KEYS", "n" * 41 + ":key"),
        ("ASIF_API_KEYS", "a:key,b:key"),
    ],
)
def test_a_bad_variable_is_named(monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)
    with pytest.raises(AsifError, match=rf"^{variable}: .+\.$"):
        read_settings()


def test_all_bad_variables_are_named_at_once(monkeypatch):
    monkeypatch.setenv("ASIF_PORT", "http")
    monkeypatch.setenv("ASIF_DOCS", "perhaps")
    with pytest.raises(AsifError) as caught:
        read_settings()
    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == ["ASIF_PORT", "ASIF_DOCS"]


@pytest.mark.parametrize(
    ("value", "keys"),
    [
        ("", {}),
        (" , ,", {}),
        ("one", {"one": "key-1"}),
        (" one , two ", {"one": "key-1", "two": "key-2"}),
        ("one,,two,", {"one": "key-1", "two": "key-2"}),
        ("notes:one, old.app-2 : two ,three", {"one": "notes", "two": "old.app-2", "three": "key-3"}),
        ("notes:one,notes:two", {"one": "notes", "two": "notes"}),
        ("notes:a:b", {"a:b": "notes"}),
    ],
)
def test_keys_are_separated_by_commas_and_may_have_names(value, keys):
    assert Settings(api_keys=value).keys == keys


@pytest.mark.parametrize(
    "value", ["fine,a secret:hush-hush", "x:hush-hush,y:hush-hush", "name-of-hush-hush" * 9 + ":x"]
)
def test_a_bad_key_is_told_by_its_place_only(monkeypatch, value):
    monkeypatch.setenv("ASIF_API_KEYS", value)
    with pytest.raises(AsifError, match=r"^ASIF_API_KEYS: .* place \d") as caught:
        read_settings()
    assert "hush" not in str(caught.value)


def test_keys_do_not_show_when_settings_are_printed():
    assert "hush" not in f"{Settings(api_keys='hush')} {Settings(api_keys='hush')!r}"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
def test_loopback_needs_no_keys(host):
    Settings(host=host).check_binding()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "10.0.0.1", "example.org", "localhost.example", ""])
def test_other_addresses_need_keys(host):
    with pytest.raises(AsifError, match=r"^ASIF_HOST: .*ASIF_API_KEYS") as caught:
        Settings(host=host).check_binding()
    assert repr(host) in str(caught.value)
    with pytest.raises(AsifError):
        Settings(host=host, api_keys=" , ").check_binding()
    Settings(host=host, api_keys="one").check_binding()
