"""What every value that a stranger writes has in common: strict, frozen, no unknown key, AWS's names as aliases.

Attributes have snake_case names and a file has AWS's PascalCase ones; the library may use either. A check that
concerns two fields is a validator of the later one, so that all mistakes are found in one pass, whatever else is wrong.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict
from pydantic.alias_generators import to_pascal
from pydantic_core import PydanticCustomError

Item = TypeVar("Item")


class Written(BaseModel):
    """A value that a stranger writes."""

    model_config = ConfigDict(
        strict=True,
        frozen=True,
        extra="forbid",
        alias_generator=to_pascal,
        validate_by_name=True,
        validate_by_alias=True,
        validate_default=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )

    is_aws: ClassVar[bool] = False
    """Whether its keys are members of AWS's requests, so that AWS's texts apply."""
    refused: ClassVar[Mapping[str, str]] = {}
    """Keys that are known but not taken, in PascalCase, each with the sentence that says why and what to do."""

    def written_among(self, names: AbstractSet[str]) -> tuple[str, ...]:
        """Those of `names` (PascalCase) that were written, whatever their value, in the model's order."""
        fields = type(self).model_fields
        written = (fields[name].alias or name for name in fields if name in self.model_fields_set)
        return tuple(name for name in written if name in names)


def wrong(message: str) -> PydanticCustomError:
    """A mistake in the field at hand. The message is a whole sentence; braces are kept as they are."""
    return PydanticCustomError("wrong", "{message}", {"message": message})


def wrong_as_a_whole(message: str) -> PydanticCustomError:
    """A mistake that belongs to the object around the field at hand, because something is missing from it, say."""
    return PydanticCustomError("wrong_as_a_whole", "{message}", {"message": message})


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


Items = Annotated[tuple[Item, ...], BeforeValidator(_as_tuple)]
"""A list as it is written, a tuple as it is kept."""
