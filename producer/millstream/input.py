"""What a paused flow run is given when it is resumed: its type, as the flow asks for it, and values of that type."""

import json
from collections.abc import Mapping
from typing import Any, Self, cast

import jsonschema
import jsonschema.exceptions
import pydantic
import pydantic_core

from millstream import coercions
from millstream_shared import errors

_best_match = cast("Any", jsonschema.exceptions).best_match


class RunInput(pydantic.BaseModel):
    """A base for the models that `pause_flow_run(wait_for_input=...)` takes, beside any other model of pydantic's."""

    @classmethod
    def with_initial_data(cls, description: str | None = None, **data: Any) -> type[Self]:
        """The same model with `data` as defaults of its fields, and with `description` for who is to fill it in.

        Raises TypeError for a field that it does not have.
        """
        fields: dict[str, Any] = {}
        for name, value in data.items():
            if name not in cls.model_fields:
                raise TypeError(f"{cls.__name__} has no field {name!r}.")
            fields[name] = (cls.model_fields[name].annotation, value)
        made = pydantic.create_model(cls.__name__, __base__=cls, __doc__=description or cls.__doc__, **fields)
        return made


class Wanted:
    """The input that a flow waits for: a model, or any type that pydantic knows.

    Raises TypeError for what is no such type.
    """

    def __init__(self, kind: Any) -> None:
        try:
            self._adapter: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(kind)
            self.schema: dict[str, Any] = self._adapter.json_schema()
        except pydantic.PydanticUserError as refused:
            raise TypeError(f"wait_for_input takes a model of pydantic or a type; got {kind!r}: {refused}") from None

    def read(self, given: str) -> Any:
        """The value of this type that the JSON text `given` stands for. Raises ValueError if it stands for none."""
        return self._adapter.validate_json(given)


def checked(schema: Mapping[str, Any] | None, given: Any) -> str:
    """`given` as JSON that fits the schema: a model, a dictionary of its fields, or a value; None for what has none.

    A value of a plain type may also be given as `{"value": ...}`. Raises ParameterTypeError, which says what is wrong.
    """
    try:
        value = pydantic_core.to_jsonable_python(given)
    except pydantic_core.PydanticSerializationError as refused:
        raise errors.ParameterTypeError(f"{given!r} cannot be written as JSON: {refused}") from None
    if schema is None:
        if value in (None, {}):
            return "null"
        raise errors.ParameterTypeError(f"It waits for no input, and was given {given!r}.")
    is_object = "properties" in schema or schema.get("type") == "object"
    if is_object and value is None:
        value = {}
    elif not is_object and isinstance(value, dict) and list(cast("dict[str, Any]", value)) == ["value"]:
        value = cast("dict[str, Any]", value)["value"]
    value = coercions.coerced(schema, value, schema)
    problem = _best_match(coercions.validator(schema, schema).iter_errors(value))
    if problem is not None:
        place = ".".join(map(str, problem.absolute_path))
        raise errors.ParameterTypeError(f"{place}: {problem.message}" if place else problem.message)
    return json.dumps(value)
