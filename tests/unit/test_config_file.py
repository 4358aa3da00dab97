"""The file: every mistake at once, each with its path, its place and what to do."""

from pathlib import Path
from typing import Any

import pytest

from broker.config import load
from broker.config.document import VALUES_LIMIT, Document, parse, path_of, scalar
from broker.errors import ConfigurationError
from broker.model.settings import Configuration

FUNCTIONS = """\
Functions:
  - {FunctionName: orders, Callable: "shop.handlers:orders"}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "broker.yaml"
    path.write_text(text)
    return path


def loaded(folder: Path, text: str, **environment: str) -> Configuration:
    return load(written(folder, text), environment)


def mistakes(folder: Path, text: str, **environment: str) -> list[str]:
    with pytest.raises(ConfigurationError) as raised:
        loaded(folder, text, **environment)
    return [str(mistake) for mistake in raised.value.mistakes]


def values(text: str) -> Any:
    return parse(text, name="x").value


def faults(text: str) -> list[str]:
    with pytest.raises(ConfigurationError) as raised:
        parse(text, name="x")
    return [str(mistake) for mistake in raised.value.mistakes]


# ---- reading


def test_a_file_becomes_a_configuration(tmp_path: Path) -> None:
    configuration = loaded(
        tmp_path,
        FUNCTIONS
        + """\
EventSourceMappings:
  - FunctionName: orders
    EventSourceArn: arn:aws:sqs:eu-west-1:123456789012:orders
    BatchSize: 5
    FilterCriteria: {Filters: [{Pattern: '{"body":{"kind":["order"]}}'}]}
""",
    )
    (mapping,) = configuration.event_source_mappings
    assert mapping.batch_size == 5
    assert mapping.filter_patterns == ('{"body":{"kind":["order"]}}',)
    assert configuration.functions[0].callable == "shop.handlers:orders"


def test_without_a_file_there_are_defaults() -> None:
    assert load(None, {}) == Configuration()


def test_every_mistake_is_reported_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = """\
Broker:
  Logformat: json
Functions:
  - FunctionName: orders
    Runtime: python3.12
    Timeout: 901
EventSourceMappings:
  - FunctionName: ordrs
    EventSourceArn: arn:aws:sqs:eu-west-1:123456789012:orders
    BatchSize: 11
  - EventSourceArn: arn:aws:sqs:eu-west-1:123456789012:orders
    FunctionName: ordrs
    BatchSise: 3
    FilterCriteria: {Filters: [{Pattern: 3}]}
  - FunctionName: ordrs
    EventSourceArn: arn:aws:sqs:eu-west-1:123456789012:other
"""
    assert mistakes(tmp_path, text) == [
        "broker.yaml:2:3: Broker.Logformat: there is no key 'Logformat' here; did you mean 'LogFormat'?",
        "broker.yaml:4:5: Functions[0]: a function needs exactly one of Callable and Url",
        "broker.yaml:5:5: Functions[0].Runtime: Runtime is not supported by this version: use Callable or Url",
        (
            "broker.yaml:6:5: Functions[0].Timeout: 1 validation error detected: Value '901' at 'timeout' failed to "
            "satisfy constraint: Member must have value less than or equal to 900"
        ),
        (
            "broker.yaml:10:5: EventSourceMappings[0].BatchSize: Maximum batch window in seconds must be greater than "
            "0 if maximum batch size is greater than 10"
        ),
        (
            "broker.yaml:13:5: EventSourceMappings[1].BatchSise: there is no key 'BatchSise' here; did you mean "
            "'BatchSize'?"
        ),
        (
            "broker.yaml:14:33: EventSourceMappings[1].FilterCriteria.Filters[0].Pattern: must be text: put it in "
            'quotes, "3"'
        ),
        (
            "broker.yaml:15:5: EventSourceMappings[2].FunctionName: Function does not exist: 'ordrs' is not among "
            "Functions; did you mean 'orders'?"
        ),
    ]


def test_an_account_without_quotes_is_shown_with_quotes_and_its_zeros(tmp_path: Path) -> None:
    assert mistakes(tmp_path, "Broker: {AccountId: 012345678901}") == [
        'broker.yaml:1:10: Broker.AccountId: must be text: put it in quotes, "012345678901"'
    ]


def test_keys_in_snake_case_are_for_the_library(tmp_path: Path) -> None:
    assert mistakes(tmp_path, "Broker: {log_level: INFO}") == [
        "broker.yaml:1:10: Broker.log_level: there is no key 'log_level' here; did you mean 'LogLevel'?"
    ]


def test_a_key_that_resembles_nothing_gets_no_suggestion(tmp_path: Path) -> None:
    assert mistakes(tmp_path, "Zebra: 1") == ["broker.yaml:1:1: Zebra: there is no key 'Zebra' here"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[]", "must be keys with values, not a list"),
        ("7", "must be keys with values, not the number 7"),
        ("Functions: {}", "must be a list, not keys with values"),
        ("Functions: ~", "must be a list, not nothing"),
        ("Functions: [true]", "must be keys with values, not true"),
        ("Broker: {DrainTimeoutInSeconds: fast}", "must be a number, not the text 'fast'"),
        ("Broker: {DrainTimeoutInSeconds: -1}", "must be at least 0, not the number -1"),
        ("Broker: {DrainTimeoutInSeconds: .inf}", "must be a finite number, not the number inf"),
        ("Broker: {DataFolder: ''}", "must be the path of a folder, not the text ''"),
        ("Broker: {LogFormat: xml}", "must be one of auto, console, json, not the text 'xml'"),
        ("Broker: {Dev: {EmulatorCommand: []}}", "must have 1 or more entries, not a list"),
        ("Broker: {Region: Europe!}", "'Europe!' does not have the right form, such as eu-west-1"),
        ("Broker: {CodeStore: 'file:'}", "CodeStore is not supported by this version: remove it"),
        (
            "Broker: {StateStore: redis}",
            "'redis' is not a state store: use memory:, sqlite:, sqlite:PATH or dynamodb:TABLE_PREFIX",
        ),
        ("Broker: {LeaseDurationInSeconds: 1}", "must be at least 2, not the number 1"),
        ("Broker: {Health: {}}", ""),
    ],
)
def test_a_mistake_says_what_is_needed(tmp_path: Path, text: str, sentence: str) -> None:
    if not sentence:
        assert loaded(tmp_path, text) == Configuration()
        return
    (only,) = mistakes(tmp_path, text)
    assert only.endswith(": " + sentence)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ("Enabled: yes", "must be true or false, not the text 'yes'"),
        ("BatchSize: 1.0", "must be a whole number, not the number 1.0"),
        ("Broker: {RateLimit: {RecordsPerSecond: 0}}", "must be greater than 0, not the number 0"),
        ("Broker: {RateLimit: {}}", "RecordsPerSecond is missing"),
        ("Broker: {LongPollSeconds: 21}", "must be at most 20, not the number 21"),
        ("Broker: {TakeOver: ordered}", "TakeOver is for streams, and this mapping reads a queue: remove it"),
        ("Tags: []", "must be keys with values, not a list"),
        (
            "ParallelizationFactor: 2",
            "Unsupported 'parallelizationFactor' parameter for given event source mapping type.",
        ),
        ("DestinationConfig: {}", "Unsupported DestinationConfig parameter for given event source mapping type."),
        (
            "ProvisionedPollerConfig: {MinimumPollers: 2, PollerGroupName: x}",
            "Unsupported 'pollerGroupName' parameter for given event source mapping type.",
        ),
        (
            "ScalingConfig: {MaximumConcurrency: 1}",
            (
                "1 validation error detected: Value '1' at 'scalingConfig.maximumConcurrency' failed to satisfy "
                "constraint: Member must have value greater than or equal to 2"
            ),
        ),
        (
            "BatchSize: 10001",
            (
                "1 validation error detected: Value '10001' at 'batchSize' failed to satisfy constraint: "
                "Member must have value less than or equal to 10000"
            ),
        ),
        (
            "FunctionResponseTypes: [All]",
            (
                "1 validation error detected: Value 'All' at 'functionResponseTypes.1.member' failed to satisfy "
                "constraint: Member must satisfy enum value set: [ReportBatchItemFailures]"
            ),
        ),
        (
            'FilterCriteria: {Filters: [{Pattern: \'{"body": "x"}\'}]}',
            'Invalid filter pattern definition. ("body" must be an object or an array)',
        ),
        ("Broker: {RetryBackoff: {BaseSeconds: 60}}", "MaximumSeconds (30) is less than BaseSeconds (60)"),
        ("UUID: x", "'x' does not have the right form, such as 14e0db71-5d35-4eb5-b481-8945cf9d10c2"),
    ],
)
def test_a_mistake_in_a_mapping_has_awss_words_where_aws_has_any(tmp_path: Path, fields: str, sentence: str) -> None:
    text = f"""{FUNCTIONS}
EventSourceMappings:
  - EventSourceArn: arn:aws:sqs:eu-west-1:123456789012:orders
    FunctionName: orders
    {fields}
"""
    (only,) = mistakes(tmp_path, text)
    assert only.endswith(": " + sentence)


def test_a_long_value_is_cut_short(tmp_path: Path) -> None:
    (only,) = mistakes(
        tmp_path, FUNCTIONS.replace("Functions:", f"Functions:\n  - {{FunctionName: {'x' * 99}, Url: 'http://a'}}")
    )
    assert f"Value '{'x' * 60}…' at 'functionName'" in only


def test_a_missing_source_has_awss_words(tmp_path: Path) -> None:
    text = FUNCTIONS + "EventSourceMappings:\n  - FunctionName: orders\n"
    assert mistakes(tmp_path, text) == [
        "broker.yaml:4:5: EventSourceMappings[0].EventSourceArn: Unrecognized event source."
    ]


# ---- between functions and mappings

MAPPING = "{EventSourceArn: 'arn:aws:sqs:eu-west-1:123456789012:orders', FunctionName: orders"


def of_mappings(folder: Path, *mappings: str, head: str = FUNCTIONS) -> list[str]:
    return mistakes(folder, head + "EventSourceMappings:\n" + "".join(f"  - {each}}}\n" for each in mappings))


def test_a_mapping_that_exists_already_has_awss_words(tmp_path: Path) -> None:
    uuid = "14e0db71-5d35-4eb5-b481-8945cf9d10c2"
    assert of_mappings(tmp_path, f"{MAPPING}, UUID: {uuid}", MAPPING) == [
        (
            "broker.yaml:5:5: EventSourceMappings[1]: An event source mapping with SQS arn "
            '(" arn:aws:sqs:eu-west-1:123456789012:orders ") and function (" orders ") already exists. '
            f"Please update or delete the existing mapping with UUID {uuid}"
        )
    ]


def test_one_function_under_two_spellings_is_one_function(tmp_path: Path) -> None:
    arn = "arn:aws:lambda:eu-west-1:123456789012:function:orders"
    (only,) = of_mappings(tmp_path, MAPPING, MAPPING.replace("FunctionName: orders", f"FunctionName: '{arn}'"))
    assert "already exists" in only


def test_qualifiers_make_different_mappings(tmp_path: Path) -> None:
    live = MAPPING.replace("FunctionName: orders", "FunctionName: 'orders:live'")
    text = f"{FUNCTIONS}EventSourceMappings:\n  - {MAPPING}}}\n  - {live}}}\n"
    assert len(loaded(tmp_path, text).event_source_mappings) == 2


def test_an_identity_belongs_to_one_mapping(tmp_path: Path) -> None:
    uuid = "14e0db71-5d35-4eb5-b481-8945cf9d10c2"
    other = MAPPING.replace(":orders'", ":other'")
    assert of_mappings(tmp_path, f"{MAPPING}, UUID: {uuid}", f"{other}, UUID: {uuid}") == [
        f"broker.yaml:5:88: EventSourceMappings[1].UUID: {uuid} is the UUID of EventSourceMappings[0] already"
    ]


def test_a_function_is_defined_once(tmp_path: Path) -> None:
    again = FUNCTIONS + '  - {FunctionName: orders, Url: "http://orders"}\n'
    assert mistakes(tmp_path, again) == ["broker.yaml:3:6: Functions[1].FunctionName: Function already exist: orders"]


def test_a_function_that_is_wrong_itself_is_not_missing_for_its_mapping(tmp_path: Path) -> None:
    head = "Functions:\n  - {FunctionName: orders}\n"
    assert of_mappings(tmp_path, MAPPING, head=head) == [
        "broker.yaml:2:5: Functions[0]: a function needs exactly one of Callable and Url"
    ]


def test_functions_that_are_no_functions_are_one_mistake(tmp_path: Path) -> None:
    assert len(of_mappings(tmp_path, MAPPING, head="Functions: [3]\n")) == 2


def test_a_process_is_for_callables(tmp_path: Path) -> None:
    head = 'Functions:\n  - {FunctionName: orders, Url: "http://orders"}\n'
    (only,) = of_mappings(tmp_path, f"{MAPPING}, Broker: {{Isolation: process}}", head=head)
    assert only.endswith("Broker.Isolation: process is for a Callable, and 'orders' has a Url: remove it")


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("AccountId: '111111111111'", "Broker.AccountId is 111111111111, and the ARN says 123456789012"),
        ("Region: us-east-1", "Broker.Region is us-east-1, and the ARN says eu-west-1"),
    ],
)
def test_a_function_of_another_account_or_region_does_not_exist(tmp_path: Path, setting: str, sentence: str) -> None:
    arn = "arn:aws:lambda:eu-west-1:123456789012:function:orders"
    mapping = MAPPING.replace("FunctionName: orders", f"FunctionName: '{arn}'")
    (only,) = of_mappings(tmp_path, mapping, head=f"Broker: {{{setting}}}\n{FUNCTIONS}")
    assert only.endswith(f"Function does not exist: {sentence}")


def test_wrong_settings_do_not_hide_mistakes_between_mappings(tmp_path: Path) -> None:
    assert len(of_mappings(tmp_path, MAPPING, MAPPING, head=f"Broker: {{Zebra: 1}}\n{FUNCTIONS}")) == 2


# ---- YAML


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nothing\.yaml: there is no such file"):
        load(tmp_path / "nothing.yaml", {})


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="this is a folder, and a YAML file is needed"):
        load(tmp_path, {})


def test_a_file_below_a_file_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="the file cannot be read: Not a directory"):
        load(tmp_path / "file" / "broker.yaml", {})


def test_a_file_that_is_not_utf8_says_where(tmp_path: Path) -> None:
    (tmp_path / "broker.yaml").write_bytes(b"# caf\xe9\n")
    with pytest.raises(ConfigurationError, match="byte 5 is not UTF-8: save the file as UTF-8"):
        load(tmp_path / "broker.yaml", {})


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    (tmp_path / "broker.yaml").write_bytes(b"\xef\xbb\xbfBroker: {}\n")
    assert load(tmp_path / "broker.yaml", {}) == Configuration()


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n"])
def test_an_empty_file_says_what_it_could_hold(text: str) -> None:
    (only,) = faults(text)
    assert "EventSourceMappings" in only


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: [1\nb: 2\n", "x:2:2: this is not valid YAML: while parsing a flow sequence"),
        ("a: b: c\n", "x:1:5: this is not valid YAML: mapping values are not allowed here"),
        ("StateStore: sqlite:\n", ": put a text that holds or ends in a colon in quotes"),
        ("a:\n\t- b\n", "that cannot start any token: indent with spaces"),
        ("a: 1\n---\nb: 2\n", "x:2:1: this is not valid YAML: expected a single document"),
        ("a: *nothing\n", "x:1:4: this is not valid YAML: found undefined alias 'nothing'"),
        ("a: \x07\n", "x: the character '\\x07' is not allowed in YAML"),
        ("[" * 5000, "x: the file is nested too deeply"),
        ("a: 1\na: 2\n", "x:2:1: a: the key is there twice: remove one"),
        ("1: a\n", "x:1:1: a key must be text: put it in quotes"),
        ("[a]: b\n", "x:1:1: a key must be text: put it in quotes"),
        ("a: !!python/name:os.system x\n", "the tag tag:yaml.org,2002:python/name:os.system is not supported"),
        ("a: !!set {}\n", "the tag tag:yaml.org,2002:set is not supported"),
        ("a: !!int x\n", "x:1:4: a: 'x' is not a number"),
        ("a: " + "9" * 5000, f"'{'9' * 40}' is not a number"),
        ("a: &a [*a]\n", "x:1:4: a[0]: an alias stands for something that contains it"),
        ("a: &a {<<: *a}\n", "a: a merge key (<<) takes other keys with values"),
        ("<<: [3]\n", "x:1:6: a merge key (<<) takes other keys with values, or a list of these"),
    ],
)
def test_malformed_yaml_names_place_and_problem(text: str, sentence: str) -> None:
    (only, *_) = faults(text)
    assert sentence in only


def test_aliases_of_aliases_do_not_fill_the_memory() -> None:
    layers = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    layers += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    assert faults("\n".join(layers)) == [f"x: more than {VALUES_LIMIT} values, aliases included"]
    merged = ["a0: &a0 {x: 1}"]
    merged += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}" for n in range(1, 10)]
    assert faults("\n".join(merged)) == [f"x: more than {VALUES_LIMIT} values, aliases included"]


def test_aliases_and_merge_keys_share_settings() -> None:
    text = """
- &first {a: 1, b: {c: 2}}
- <<: *first
  a: 3
- <<: [{d: 4}, *first, {a: 5}]
- *first
"""
    first = {"a": 1, "b": {"c": 2}}
    assert values(text) == [first, {**first, "a": 3}, {**first, "d": 4}, first]


def test_places_are_those_of_keys_and_items() -> None:
    document = parse("a:\n  - b: 1\n    c: 2\n", name="f.yaml")
    assert str(document.place_of(("a", 0, "c"))) == "f.yaml:3:5"
    assert str(document.place_of(("a", 0))) == "f.yaml:2:5"
    assert str(document.place_of(("a", 0, "missing"))) == "f.yaml:2:5"
    assert str(document.place_of(())) == "f.yaml:1:1"
    assert Document(value=None).place_of(("a",)) is None


def test_a_path_reads_like_the_file() -> None:
    assert path_of(("EventSourceMappings", 0, "BatchSize")) == "EventSourceMappings[0].BatchSize"
    assert path_of(()) == ""


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None), ("~", None), ("null", None), ("true", True), ("FALSE", False), ("yes", "yes"), ("on", "on"),
        ("10", 10), ("-3", -3), ("010", 10), ("0x1f", "0x1f"), ("1_000", "1_000"), ("5:30", "5:30"),
        ("1.5", 1.5), ("1e3", 1000.0), (".5", 0.5), ("-.inf", float("-inf")), (".INF", float("inf")), (".", "."),
        ("2026-01-01", "2026-01-01"), ("orders", "orders"), ("=", "="),
    ],
)  # fmt: skip
def test_scalars_are_those_of_yaml_1_2(text: str, value: object) -> None:
    assert scalar(text) == value
    assert values(f"a: {text}") == {"a": value}
    assert type(scalar(text)) is type(value)


def test_not_a_number_is_a_number_in_yaml() -> None:
    assert str(values("a: .nan")["a"]) == str(values("a: .NaN")["a"]) == "nan"
